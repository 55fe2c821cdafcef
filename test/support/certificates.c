/* certificates.c -- see certificates.h. */
#include "test/support/certificates.h"

#include "base/assert.h"
#include "base/memory.h"

#include <stdlib.h>

static const char script[] =
    "set -e; cd '%s'; key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'\n"
    "authority() { openssl req -x509 $key -keyout $1.key -out $1.pem -subj /CN=$1 -days 2; }\n"
    "identity() { openssl req $key -keyout $1.key -out $1.csr -subj /CN=$1\n"
    "    printf 'subjectAltName=%%s' $2 > $1.ext\n"
    "    openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $1.pem -days 2 "
    "-extfile $1.ext; }\n"
    "{ authority ca; authority other-ca; identity server DNS:localhost,IP:127.0.0.1\n"
    "identity client DNS:client; identity elsewhere DNS:elsewhere.example; } > log 2>&1 || { cat "
    "log >&2; exit 1; }";

void certificates_make(const char *dir)
{
    char *command = mem_printf(script, dir);
    /* tidy: allow banned-call, because openssl is a program, and runs once a test */
    ASSERT(system(command) == 0);
    mem_free(command);
}
