/* certificates.h -- a certificate authority for one test: PEM files in a directory, made by the program openssl.
 *
 *      ca.pem      server.pem server.key (for localhost and 127.0.0.1)      client.pem client.key
 *      other-ca.pem (that nobody knows)      elsewhere.pem elsewhere.key (by ca, for elsewhere.example)
 *
 * Aborts when openssl is missing or fails. */
#ifndef WEIR_TEST_CERTIFICATES_H
#define WEIR_TEST_CERTIFICATES_H

void certificates_make(const char *dir);

#endif
