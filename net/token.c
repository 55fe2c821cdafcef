/* token.c -- see token.h. */
#include "net/token.h"

#include "base/os.h"

#include <openssl/crypto.h>
#include <stdio.h>

void token_new(char token[TOKEN_SIZE + 1])
{
    for (int i = 0; i < TOKEN_SIZE / 16; i++)
        snprintf(token + i * 16, 17, "%016llx", (unsigned long long)os_random());
}

bool token_equal(weir_str a, weir_str b)
{
    return a.size == b.size && (a.size == 0 || CRYPTO_memcmp(a.data, b.data, a.size) == 0);
}
