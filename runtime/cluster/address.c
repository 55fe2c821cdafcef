/* address.c -- see address.h. */
#include "runtime/cluster/address.h"

#include "base/os.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

bool address_split(const char *address, char host[ADDRESS_HOST_SIZE], uint16_t *port)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon == address || colon[1] < '0' || colon[1] > '9')
        return false;
    size_t size = (size_t)(colon - address);
    if (address[0] == '[') {
        if (address[size - 1] != ']')
            return false;
        address++;
        size -= 2;
    }
    if (size == 0 || size >= ADDRESS_HOST_SIZE)
        return false;
    char *end;
    unsigned long number = strtoul(colon + 1, &end, 10);
    if (*end != '\0' || number < 1 || number > 65535)
        return false;
    memcpy(host, address, size);
    host[size] = '\0';
    *port = (uint16_t)number;
    return true;
}

static bool is_hex(weir_str text, uint64_t size)
{
    if (text.size != size)
        return false;
    for (uint64_t i = 0; i < size; i++) {
        char c = text.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
    }
    return true;
}

bool address_is_digest(weir_str text)
{
    return is_hex(text, ADDRESS_DIGEST_SIZE);
}

bool address_is_id(weir_str text)
{
    return is_hex(text, 32);
}

void address_new_id(char id[33])
{
    snprintf(id, 33, "%016" PRIx64 "%016" PRIx64, os_random(), os_random());
}
