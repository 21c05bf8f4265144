// Before the first paint.
document.documentElement.dataset.theme = localStorage.getItem("nomos.theme") || "auto";
