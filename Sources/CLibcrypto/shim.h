#ifndef CLIBCRYPTO_SHIM_H
#define CLIBCRYPTO_SHIM_H

// The digests of OpenSSL 3's libcrypto, by its current interface.
#include <openssl/crypto.h>
#include <openssl/evp.h>

#endif
