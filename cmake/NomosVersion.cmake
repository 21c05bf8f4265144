# Describes the build for base/version.c. The date is the revision's, so that two builds of one revision are equal.
set(commit unknown)
set(date unknown)
set(modified false)
find_package(Git QUIET)
if(GIT_FOUND AND EXISTS ${PROJECT_SOURCE_DIR}/.git)
	execute_process(COMMAND ${GIT_EXECUTABLE} log -1 --format=%H WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
		OUTPUT_VARIABLE out OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE rc)
	if(rc EQUAL 0 AND out)
		set(commit ${out})
	endif()
	execute_process(COMMAND ${CMAKE_COMMAND} -E env TZ=UTC ${GIT_EXECUTABLE} log -1 --format=%cd
		--date=format-local:%Y-%m-%dT%H:%M:%SZ WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
		OUTPUT_VARIABLE out OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE rc)
	if(rc EQUAL 0 AND out)
		set(date ${out})
	endif()
	execute_process(COMMAND ${GIT_EXECUTABLE} diff --quiet HEAD WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
		ERROR_QUIET RESULT_VARIABLE rc)
	if(rc EQUAL 1)
		set(modified true)
	endif()
endif()
string(TOLOWER ${CMAKE_C_COMPILER_ID} compiler)
string(REPLACE "gnu" "gcc" compiler ${compiler})
set_property(SOURCE ${PROJECT_SOURCE_DIR}/base/version.c DIRECTORY ${PROJECT_SOURCE_DIR}/base PROPERTY COMPILE_DEFINITIONS
	NOMOS_BUILD_VERSION="${PROJECT_VERSION}" NOMOS_BUILD_COMMIT="${commit}" NOMOS_BUILD_DATE="${date}"
	NOMOS_BUILD_COMPILER="${compiler}-${CMAKE_C_COMPILER_VERSION}" NOMOS_BUILD_MODIFIED=${modified})
