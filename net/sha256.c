/* sha256.c -- see sha256.h; OpenSSL's. It fails only when memory runs out, which aborts like mem_alloc. */
#include "net/sha256.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/os.h"

#include <openssl/evp.h>
#include <stdio.h>

#define READ_SIZE ((size_t)256 << 10)

void *sha256_begin(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    ASSERT(context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1);
    return context;
}

void sha256_add(void *state, const void *bytes, size_t size)
{
    ASSERT(EVP_DigestUpdate(state, bytes, size) == 1);
}

void sha256_end(void *state, char hex[SHA256_HEX_SIZE + 1])
{
    EVP_MD_CTX *context = state;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    ASSERT(EVP_DigestFinal_ex(context, digest, &size) == 1 && size * 2 == SHA256_HEX_SIZE);
    EVP_MD_CTX_free(context);
    for (unsigned i = 0; i < size; i++)
        snprintf(hex + i * 2, 3, "%02x", digest[i]);
}

void sha256_bytes(weir_str bytes, char hex[SHA256_HEX_SIZE + 1])
{
    void *state = sha256_begin();
    sha256_add(state, bytes.data, bytes.size);
    sha256_end(state, hex);
}

weir_error *sha256_file(const char *path, char hex[SHA256_HEX_SIZE + 1])
{
    struct os_file *file;
    WEIR_TRY(os_open(path, OS_READ, &file));
    void *state = sha256_begin();
    char *bytes = mem_alloc(READ_SIZE);
    size_t got = READ_SIZE;
    weir_error *error = NULL;
    while (error == NULL && got == READ_SIZE) {
        error = os_read(file, bytes, READ_SIZE, &got);
        if (error == NULL)
            sha256_add(state, bytes, got);
    }
    sha256_end(state, hex);
    mem_free(bytes);
    os_close(file);
    return error;
}
