# nomos_embed(target file function header): compiles the bytes of file into target; header declares
# `struct span function(void);`, which returns them.
set(NOMOS_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})

function(nomos_embed target file function header)
	set(out ${CMAKE_CURRENT_BINARY_DIR}/${function}.c)
	add_custom_command(OUTPUT ${out}
		COMMAND ${CMAKE_COMMAND} -DIN=${file} -DOUT=${out} -DFUNCTION=${function} -DHEADER=${header} -P ${NOMOS_EMBED_SCRIPT}
		DEPENDS ${file} ${NOMOS_EMBED_SCRIPT} VERBATIM)
	target_sources(${target} PRIVATE ${out})
endfunction()

if(CMAKE_SCRIPT_MODE_FILE)
	file(READ ${IN} hex HEX)
	string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
	string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n\t" bytes "${bytes}")
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
