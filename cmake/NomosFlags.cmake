# The one place for compiler and linker flags. Every target links nomos_flags; there are no directory-wide flags.
set(NOMOS_SANITIZE "" CACHE STRING "sanitizers, comma separated: address,undefined or thread")
option(NOMOS_ARENA_EMULATE "give every arena allocation a malloc of its own, so that ASan sees overruns" OFF)
option(NOMOS_HARDEN "release hardening" OFF)
option(NOMOS_FUZZ "build the libFuzzer targets (clang)" OFF)
option(NOMOS_COVERAGE "instrument for gcov" OFF)
option(NOMOS_FAULT_POINTS "named points at which tests kill, stop or fail the process (base/fault.h)" OFF)

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

add_library(nomos_flags INTERFACE)
target_compile_definitions(nomos_flags INTERFACE
	_POSIX_C_SOURCE=200809L
	NOMOS_ARENA_EMULATE=$<BOOL:${NOMOS_ARENA_EMULATE}>
	NOMOS_FAULT_POINTS=$<BOOL:${NOMOS_FAULT_POINTS}>)
target_compile_options(nomos_flags INTERFACE
	-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wcast-qual -Wcast-align
	-Wwrite-strings -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes
	-Wold-style-definition -Wundef -Wvla -Wformat=2 -Wswitch-enum -Wnull-dereference
	-Wdouble-promotion -Wimplicit-fallthrough
	-fno-omit-frame-pointer)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
	target_compile_options(nomos_flags INTERFACE
		-Wlogical-op -Wduplicated-cond -Wduplicated-branches -Wrestrict)
endif()

if(NOMOS_SANITIZE)
	target_compile_options(nomos_flags INTERFACE -fsanitize=${NOMOS_SANITIZE} -fno-sanitize-recover=all)
	target_link_options(nomos_flags INTERFACE -fsanitize=${NOMOS_SANITIZE})
	# With sanitizers gcc's flow analysis reports null dereferences that the instrumentation made.
	target_compile_options(nomos_flags INTERFACE -Wno-null-dereference)
endif()
if(NOMOS_FUZZ)
	target_compile_options(nomos_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(NOMOS_COVERAGE)
	target_compile_options(nomos_flags INTERFACE --coverage)
	target_link_options(nomos_flags INTERFACE --coverage)
endif()
if(NOMOS_HARDEN)
	include(CheckPIESupported)
	check_pie_supported()
	target_compile_options(nomos_flags INTERFACE
		-fstack-protector-strong -fstack-clash-protection -fcf-protection
		$<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE> $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=2>)
	target_link_options(nomos_flags INTERFACE -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack)
endif()
