# cmake --install: the program, its manual, completions and examples, where the platform looks for them.
include(GNUInstallDirs)

install(TARGETS nomos RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES docs/nomos.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES completions/nomos.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME nomos)
install(FILES completions/_nomos DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES completions/nomos.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/nomos)
# The starter files hold marks that only `nomos init` fills.
install(DIRECTORY configs/ DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/nomos/examples PATTERN starter EXCLUDE)
