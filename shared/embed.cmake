# Turns the file IN into a C array: const unsigned char NAME[] and const size_t NAME_len, in OUT.
file(READ ${IN} hex HEX)
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
