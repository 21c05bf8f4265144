# nomos_module(NAME [DEPENDS nomos::x ...] [PRIVATE_DEPENDS lib ...])
#
# A module is a folder: its .c files (sub-folders too), its public headers in include/<name>/, one static library.
# DEPENDS is the architecture: a module sees the public headers of what it names there and of nothing else.
# Third-party libraries are PRIVATE_DEPENDS; scripts/lint-layers checks that only their one wrapper file includes them.
function(nomos_module name)
	cmake_parse_arguments(M "" "" "DEPENDS;PRIVATE_DEPENDS" ${ARGN})
	file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
	file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/include/${name}/*.h)
	add_library(nomos_${name} STATIC ${sources})
	add_library(nomos::${name} ALIAS nomos_${name})
	target_sources(nomos_${name} PUBLIC FILE_SET HEADERS
		BASE_DIRS ${CMAKE_CURRENT_SOURCE_DIR}/include FILES ${headers})
	target_include_directories(nomos_${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
	string(TOUPPER ${name} module)
	target_compile_definitions(nomos_${name} PRIVATE NOMOS_LOG_MODULE=LOG_MODULE_${module})
	set_target_properties(nomos_${name} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON LINKER_LANGUAGE C)
	target_link_libraries(nomos_${name} PUBLIC ${M_DEPENDS} PRIVATE nomos_flags ${M_PRIVATE_DEPENDS})
endfunction()
