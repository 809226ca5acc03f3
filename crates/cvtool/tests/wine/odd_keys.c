/* Makes keys and values that only the kernel's own interface can make: names with zeros in them, a type that nobody knows, a link,
   and a value in the view of 32-bit programs. An installer of the worst kind, for tests. */
#include <windows.h>
#include <winternl.h>

#define LINK_TYPE 6

extern NTSTATUS NTAPI NtCreateKey(PHANDLE, ACCESS_MASK, POBJECT_ATTRIBUTES, ULONG, PUNICODE_STRING, ULONG, PULONG);
extern NTSTATUS NTAPI NtSetValueKey(HANDLE, PUNICODE_STRING, ULONG, ULONG, PVOID, ULONG);

static UNICODE_STRING text(const WCHAR *name, size_t bytes)
{
    UNICODE_STRING string = { bytes - sizeof(WCHAR), bytes, (WCHAR *)name };
    return string;
}

#define TEXT_OF(literal) text(literal, sizeof(literal))

static HANDLE create(HANDLE above, UNICODE_STRING name, ULONG options)
{
    OBJECT_ATTRIBUTES attributes;
    HANDLE key = NULL;
    InitializeObjectAttributes(&attributes, &name, OBJ_CASE_INSENSITIVE, above, NULL);
    if (NtCreateKey(&key, KEY_ALL_ACCESS, &attributes, 0, NULL, options, NULL) != 0)
        ExitProcess(2);
    return key;
}

static void set(HANDLE key, UNICODE_STRING name, ULONG type, const void *data, ULONG length)
{
    if (NtSetValueKey(key, &name, 0, type, (void *)data, length) != 0)
        ExitProcess(3);
}

int main(void)
{
    static const WCHAR target[] = L"\\Registry\\Machine\\Software\\Odd\\Plain";
    HANDLE top = create(NULL, TEXT_OF(L"\\Registry\\Machine\\Software\\Odd"), 0);
    HANDLE plain = create(top, TEXT_OF(L"Plain"), 0);
    HANDLE zero = create(top, TEXT_OF(L"key\0zero"), 0);
    HANDLE link = create(top, TEXT_OF(L"Link"), REG_OPTION_CREATE_LINK);
    HKEY narrow;
    set(plain, TEXT_OF(L"unknown type"), 0x12345, "\1\2\3", 3);
    set(plain, TEXT_OF(L"empty"), REG_BINARY, NULL, 0);
    set(zero, TEXT_OF(L"value\0zero"), REG_SZ, L"text", sizeof(L"text"));
    set(link, TEXT_OF(L"SymbolicLinkValue"), LINK_TYPE, target, sizeof(target) - sizeof(WCHAR));
    if (RegCreateKeyExW(HKEY_LOCAL_MACHINE, L"Software\\Odd", 0, NULL, 0, KEY_ALL_ACCESS | KEY_WOW64_32KEY, NULL, &narrow,
                        NULL))
        return 4;
    if (RegSetValueExW(narrow, L"view", 0, REG_SZ, (const BYTE *)L"32", sizeof(L"32")))
        return 5;
    return 0;
}
