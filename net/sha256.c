/* sha256.c -- see sha256.h; OpenSSL's. It fails only when memory runs out, which aborts like mem_alloc. */
#include "net/sha256.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/os.h"

#include <openssl/evp.h>
#include <stdio.h>

#define READ_SIZE ((size_t)256 << 10)

static EVP_MD_CTX *begin(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    ASSERT(context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1);
    return context;
}

static void finish(EVP_MD_CTX *context, char hex[SHA256_HEX_SIZE + 1])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    ASSERT(EVP_DigestFinal_ex(context, digest, &size) == 1 && size * 2 == SHA256_HEX_SIZE);
    EVP_MD_CTX_free(context);
    for (unsigned i = 0; i < size; i++)
        snprintf(hex + i * 2, 3, "%02x", digest[i]);
}

void sha256_bytes(weir_str bytes, char hex[SHA256_HEX_SIZE + 1])
{
    EVP_MD_CTX *context = begin();
    ASSERT(EVP_DigestUpdate(context, bytes.data, bytes.size) == 1);
    finish(context, hex);
}

weir_error *sha256_file(const char *path, char hex[SHA256_HEX_SIZE + 1])
{
    struct os_file *file;
    WEIR_TRY(os_open(path, OS_READ, &file));
    EVP_MD_CTX *context = begin();
    char *bytes = mem_alloc(READ_SIZE);
    size_t got = READ_SIZE;
    weir_error *error = NULL;
    while (error == NULL && got == READ_SIZE) {
        error = os_read(file, bytes, READ_SIZE, &got);
        if (error == NULL)
            ASSERT(EVP_DigestUpdate(context, bytes, got) == 1);
    }
    finish(context, hex);
    mem_free(bytes);
    os_close(file);
    return error;
}
