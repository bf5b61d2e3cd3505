# Turns the file IN into a C array: const unsigned char NAME[] and const size_t NAME_len, in OUT.
# A directory gives all its Lua files, joined in the order of their names.
if(IS_DIRECTORY ${IN})
    file(GLOB files ${IN}/*.lua)
    list(SORT files)
else()
    set(files ${IN})
endif()
set(hex "")
foreach(file ${files})
    file(READ ${file} part HEX)
    string(APPEND hex "${part}")
endforeach()
string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
file(WRITE ${OUT}
"#include <stddef.h>
extern const unsigned char ${NAME}[];
extern const size_t ${NAME}_len;
const unsigned char ${NAME}[] = {
${bytes}
0x00};
const size_t ${NAME}_len = sizeof(${NAME}) - 1;
")
