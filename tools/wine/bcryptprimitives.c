/* bcryptprimitives.dll, which every Go program needs on Windows, and Wine has since 9.0:
 * for make cross-test, with an older one. The bytes are those of Wine's RtlGenRandom. */
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE to, SIZE_T size)
{
	return SystemFunction036(to, (ULONG)size);
}
