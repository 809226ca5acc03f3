/* The one function of bcryptprimitives.dll that Rust programs need, for a Wine that lacks the library: random bytes. Windows
   has the library itself. */
#include <windows.h>
#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T length)
{
    while (length != 0) {
        ULONG step = length > 0x10000000 ? 0x10000000 : (ULONG)length;
        if (!RtlGenRandom(data, step))
            return FALSE;
        data += step;
        length -= step;
    }
    return TRUE;
}
