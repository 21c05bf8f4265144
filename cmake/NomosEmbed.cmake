# nomos_embed(target file function header): compiles the bytes of file into target; header declares
# `struct span function(void);`, which returns them.
#
# nomos_embed_folder(target folder function header): the same for all files of a folder, as they are and gzipped; header
# declares `struct embedded_file` and `const struct embedded_file *function(size_t *n);`.
set(NOMOS_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})
find_program(NOMOS_GZIP gzip REQUIRED)

function(nomos_embed_folder target folder function header)
	set(out ${CMAKE_CURRENT_BINARY_DIR}/${function}.c)
	file(GLOB files CONFIGURE_DEPENDS ${folder}/*)
	# The list is an input of its own: a file that has gone changes nothing that is left.
	file(CONFIGURE OUTPUT ${out}.list CONTENT "${files}\n")
	add_custom_command(OUTPUT ${out}
		COMMAND ${CMAKE_COMMAND} "-DFILES=${files}" -DOUT=${out} -DFUNCTION=${function} -DHEADER=${header} -DGZIP=${NOMOS_GZIP}
			-P ${NOMOS_EMBED_SCRIPT}
		DEPENDS ${files} ${out}.list ${NOMOS_EMBED_SCRIPT} VERBATIM)
	target_sources(${target} PRIVATE ${out})
endfunction()

function(nomos_embed target file function header)
	set(out ${CMAKE_CURRENT_BINARY_DIR}/${function}.c)
	add_custom_command(OUTPUT ${out}
		COMMAND ${CMAKE_COMMAND} -DIN=${file} -DOUT=${out} -DFUNCTION=${function} -DHEADER=${header} -P ${NOMOS_EMBED_SCRIPT}
		DEPENDS ${file} ${NOMOS_EMBED_SCRIPT} VERBATIM)
	target_sources(${target} PRIVATE ${out})
endfunction()

# The bytes of a file as C text.
function(read_bytes file result)
	file(READ ${file} hex HEX)
	string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
	string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n\t" bytes "${bytes}")
	set(${result} "${bytes}" PARENT_SCOPE)
endfunction()

if(CMAKE_SCRIPT_MODE_FILE AND GZIP)
	set(arrays "")
	set(rows "")
	set(i 0)
	foreach(file ${FILES})
		cmake_path(GET file FILENAME name)
		execute_process(COMMAND ${GZIP} -9nc ${file} OUTPUT_FILE ${OUT}.gz COMMAND_ERROR_IS_FATAL ANY)
		read_bytes(${file} plain)
		read_bytes(${OUT}.gz packed)
		file(SHA256 ${file} hash)
		string(APPEND arrays "static const unsigned char plain_${i}[] = {\n\t${plain}\n};\nstatic const unsigned char packed_${i}[] = {\n\t${packed}\n};\n")
		string(APPEND rows "\t{\"${name}\", \"${hash}\", {(const char *)plain_${i}, sizeof(plain_${i})}, {(const char *)packed_${i}, sizeof(packed_${i})}},\n")
		math(EXPR i "${i} + 1")
	endforeach()
	file(REMOVE ${OUT}.gz)
	file(WRITE ${OUT} "/* Generated from a folder of the source tree. */
#include \"${HEADER}\"

${arrays}
static const struct embedded_file files[] = {
${rows}};

const struct embedded_file *
${FUNCTION}(size_t *n)
{
	*n = sizeof(files) / sizeof(files[0]);
	return files;
}
")
elseif(CMAKE_SCRIPT_MODE_FILE)
	read_bytes(${IN} bytes)
	file(WRITE ${OUT} "/* Generated from a file of the source tree. */
#include \"${HEADER}\"

static const unsigned char bytes[] = {
	${bytes}
};

struct span
${FUNCTION}(void)
{
	return span_of((const char *)bytes, sizeof(bytes));
}
")
endif()
