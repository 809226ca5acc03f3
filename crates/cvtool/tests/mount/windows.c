/*
 * What Windows programs expect of a file system. Works in the current folder, which holds "Lower.TXT" ("lower") and
 * "LowerDir\Inner.txt" ("inner") beforehand. Prints one line for each expectation: "ok NAME" or "not ok NAME".
 */
#define WIN32_LEAN_AND_MEAN
#include <stdio.h>
#include <string.h>
#include <wchar.h>
#include <windows.h>

static void check(const char *name, int holds)
{
    printf("%s %s (%lu)\n", holds ? "ok" : "not ok", name, GetLastError());
    fflush(stdout);
}

/* Prints whether something holds, and the error if not. */
#define CHECK(name, condition) do { SetLastError(0); check(name, !!(condition)); } while (0)

#define ALL_SHARED (FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE)

static HANDLE open_as(const wchar_t *name, DWORD access, DWORD share, DWORD how, DWORD flags)
{
    return CreateFileW(name, access, share, NULL, how, flags, NULL);
}

/* Opens and closes; gives the error, which of success may be ERROR_ALREADY_EXISTS. */
static DWORD opened(const wchar_t *name, DWORD access, DWORD share, DWORD how)
{
    SetLastError(0);
    HANDLE file = open_as(name, access, share, how, 0);
    DWORD error = GetLastError();
    if (file != INVALID_HANDLE_VALUE)
        CloseHandle(file);
    return error;
}

static int put(const wchar_t *name, const char *text)
{
    DWORD written;
    HANDLE file = open_as(name, GENERIC_WRITE, 0, CREATE_ALWAYS, 0);
    int done = file != INVALID_HANDLE_VALUE && WriteFile(file, text, strlen(text), &written, NULL);
    CloseHandle(file);
    return done;
}

static int holds(const wchar_t *name, const char *text)
{
    char bytes[256];
    DWORD length = 0;
    HANDLE file = open_as(name, GENERIC_READ, ALL_SHARED, OPEN_EXISTING, 0);
    if (file == INVALID_HANDLE_VALUE)
        return 0;
    int done = ReadFile(file, bytes, sizeof bytes, &length, NULL);
    CloseHandle(file);
    return done && length == strlen(text) && !memcmp(bytes, text, length);
}

static int is_there(const wchar_t *name)
{
    return GetFileAttributesW(name) != INVALID_FILE_ATTRIBUTES;
}

static int fails(BOOL result, DWORD error)
{
    return !result && GetLastError() == error;
}

/* How many names a pattern finds, and whether one of them is spelled so. */
static int found(const wchar_t *pattern, const wchar_t *spelled)
{
    WIN32_FIND_DATAW data;
    int count = 0, is_spelled = spelled == NULL;
    HANDLE search = FindFirstFileW(pattern, &data);
    if (search == INVALID_HANDLE_VALUE)
        return 0;
    do {
        count++;
        is_spelled |= spelled && !wcscmp(data.cFileName, spelled);
    } while (FindNextFileW(search, &data));
    FindClose(search);
    return is_spelled ? count : -count;
}

static void dispositions(void)
{
    DWORD rw = GENERIC_READ | GENERIC_WRITE;
    CHECK("create new", opened(L"new", rw, 0, CREATE_NEW) == 0);
    CHECK("create new over", opened(L"NEW", rw, 0, CREATE_NEW) == ERROR_FILE_EXISTS);
    CHECK("create always over", put(L"new", "text") && opened(L"New", rw, 0, CREATE_ALWAYS) == ERROR_ALREADY_EXISTS);
    CHECK("create always empties", holds(L"new", ""));
    CHECK("open missing", opened(L"missing", rw, 0, OPEN_EXISTING) == ERROR_FILE_NOT_FOUND);
    CHECK("open in a missing folder", opened(L"missing\\file", rw, 0, OPEN_EXISTING) == ERROR_PATH_NOT_FOUND);
    CHECK("open below a file", opened(L"new\\file", rw, 0, OPEN_EXISTING) == ERROR_PATH_NOT_FOUND);
    CHECK("open always makes", opened(L"always", rw, 0, OPEN_ALWAYS) == 0);
    CHECK("open always opens", opened(L"ALWAYS", rw, 0, OPEN_ALWAYS) == ERROR_ALREADY_EXISTS);
    CHECK("truncate missing", opened(L"missing", rw, 0, TRUNCATE_EXISTING) == ERROR_FILE_NOT_FOUND);
    CHECK("truncate", put(L"always", "x") && opened(L"always", rw, 0, TRUNCATE_EXISTING) == 0 && holds(L"always", ""));
    CHECK("folder as file", CreateDirectoryW(L"folder", NULL)
        && opened(L"folder", rw, 0, OPEN_EXISTING) == ERROR_ACCESS_DENIED);
    CHECK("create over a folder", opened(L"folder", rw, 0, CREATE_ALWAYS) == ERROR_ACCESS_DENIED);
    CHECK("trailing dot", opened(L"new.", GENERIC_READ, ALL_SHARED, OPEN_EXISTING) == 0);
    CHECK("bad name", opened(L"what?", rw, 0, CREATE_NEW) == ERROR_INVALID_NAME);
}

static void deletion(void)
{
    HANDLE file = open_as(L"temporary", GENERIC_WRITE | DELETE, ALL_SHARED, CREATE_NEW, FILE_FLAG_DELETE_ON_CLOSE);
    CHECK("delete on close: there", is_there(L"TEMPORARY"));
    CloseHandle(file);
    CHECK("delete on close: gone", !is_there(L"temporary"));
    put(L"doomed", "x");
    file = open_as(L"doomed", GENERIC_READ, FILE_SHARE_READ, OPEN_EXISTING, 0);
    CHECK("delete what is not shared", fails(DeleteFileW(L"doomed"), ERROR_SHARING_VIOLATION));
    CloseHandle(file);
    file = open_as(L"doomed", GENERIC_READ, ALL_SHARED, OPEN_EXISTING, 0);
    CHECK("delete what is shared", DeleteFileW(L"DOOMED"));
    char byte;
    DWORD length;
    CHECK("read what is deleted", ReadFile(file, &byte, 1, &length, NULL) && length == 1);
    CloseHandle(file);
    CHECK("gone at the last close", opened(L"doomed", GENERIC_READ, 0, OPEN_EXISTING) == ERROR_FILE_NOT_FOUND);
    CHECK("delete missing", fails(DeleteFileW(L"doomed"), ERROR_FILE_NOT_FOUND));
    CHECK("delete a folder as a file", fails(DeleteFileW(L"folder"), ERROR_ACCESS_DENIED));
    CHECK("remove a file as a folder", fails(RemoveDirectoryW(L"new"), ERROR_DIRECTORY));
    CHECK("make a folder twice", fails(CreateDirectoryW(L"FOLDER", NULL), ERROR_ALREADY_EXISTS));
    put(L"folder\\inside", "x");
    CHECK("remove a full folder", fails(RemoveDirectoryW(L"folder"), ERROR_DIR_NOT_EMPTY));
    CHECK("remove an empty folder", DeleteFileW(L"folder\\INSIDE") && RemoveDirectoryW(L"Folder") && !is_there(L"folder"));
    CHECK("make again what was removed", CreateDirectoryW(L"folder", NULL) && found(L"folder\\*", L".") == 2);
}

static void renaming(void)
{
    put(L"one", "1");
    put(L"two", "2");
    CHECK("move over", fails(MoveFileW(L"one", L"TWO"), ERROR_ALREADY_EXISTS));
    CHECK("move and replace", MoveFileExW(L"one", L"TWO", MOVEFILE_REPLACE_EXISTING));
    CHECK("replaced", holds(L"two", "1") && !is_there(L"one"));
    CHECK("move missing", fails(MoveFileW(L"one", L"three"), ERROR_FILE_NOT_FOUND));
    CHECK("move into a missing folder", fails(MoveFileW(L"two", L"missing\\two"), ERROR_PATH_NOT_FOUND));
    CHECK("move an own folder", CreateDirectoryW(L"from", NULL) && put(L"from\\file", "f")
        && MoveFileW(L"FROM", L"to") && holds(L"TO\\FILE", "f") && !is_there(L"from"));
    CHECK("move a folder over a folder", CreateDirectoryW(L"from", NULL)
        && fails(MoveFileExW(L"from", L"to", MOVEFILE_REPLACE_EXISTING), ERROR_ACCESS_DENIED));
    CHECK("move a lower folder", MoveFileW(L"lowerdir", L"MovedDir") && holds(L"moveddir\\INNER.TXT", "inner")
        && !is_there(L"LowerDir"));
    CHECK("move a lower file", MoveFileW(L"LOWER.txt", L"Moved.txt") && holds(L"moved.TXT", "lower")
        && !is_there(L"Lower.TXT"));
    CHECK("move it back", MoveFileW(L"moved.txt", L"Lower.TXT") && found(L"lower.*", L"Lower.TXT") == 1);
    put(L"Spelled", "s");
    CHECK("change the case alone", MoveFileW(L"spelled", L"SPELLED") && found(L"spell*", L"SPELLED") == 1);
    put(L"replacement", "new");
    put(L"replaced", "old");
    CHECK("replace with backup", ReplaceFileW(L"replaced", L"replacement", L"backup", 0, NULL, NULL)
        && holds(L"replaced", "new") && holds(L"backup", "old"));
    CHECK("copy", CopyFileW(L"Lower.txt", L"copy", TRUE) && holds(L"copy", "lower"));
    CHECK("copy over", fails(CopyFileW(L"Lower.txt", L"COPY", TRUE), ERROR_FILE_EXISTS));
    HANDLE file = open_as(L"copy", GENERIC_READ, FILE_SHARE_READ, OPEN_EXISTING, 0);
    CHECK("move what is open", fails(MoveFileW(L"copy", L"copy2"), ERROR_SHARING_VIOLATION));
    CloseHandle(file);
}

static void sharing(void)
{
    put(L"shared", "x");
    HANDLE file = open_as(L"shared", GENERIC_READ, 0, OPEN_EXISTING, 0);
    CHECK("not shared", opened(L"SHARED", GENERIC_READ, ALL_SHARED, OPEN_EXISTING) == ERROR_SHARING_VIOLATION);
    CloseHandle(file);
    file = open_as(L"shared", GENERIC_READ, FILE_SHARE_READ, OPEN_EXISTING, 0);
    CHECK("shared to read", opened(L"Shared", GENERIC_READ, FILE_SHARE_READ, OPEN_EXISTING) == 0);
    CHECK("not shared to write", opened(L"shared", GENERIC_WRITE, ALL_SHARED, OPEN_EXISTING) == ERROR_SHARING_VIOLATION);
    CloseHandle(file);
    file = open_as(L"lower.txt", GENERIC_READ, FILE_SHARE_READ, OPEN_EXISTING, 0);
    CHECK("a lower file is shared so, too",
        opened(L"LOWER.TXT", GENERIC_WRITE, ALL_SHARED, OPEN_EXISTING) == ERROR_SHARING_VIOLATION);
    CloseHandle(file);
    OVERLAPPED place = { 0 };
    HANDLE one = open_as(L"shared", GENERIC_READ | GENERIC_WRITE, ALL_SHARED, OPEN_EXISTING, 0);
    HANDLE other = open_as(L"shared", GENERIC_READ | GENERIC_WRITE, ALL_SHARED, OPEN_EXISTING, 0);
    DWORD how = LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY;
    CHECK("lock", LockFileEx(one, how, 0, 10, 0, &place));
    CHECK("lock again", fails(LockFileEx(other, how, 0, 10, 0, &place), ERROR_LOCK_VIOLATION));
    CHECK("unlock", UnlockFileEx(one, 0, 10, 0, &place) && LockFileEx(other, how, 0, 10, 0, &place));
    CloseHandle(one);
    CloseHandle(other);
}

static void enumeration(void)
{
    CreateDirectoryW(L"many", NULL);
    const wchar_t *names[] = { L"many\\abc.txt", L"many\\ABD.TXT", L"many\\axc", L"many\\Gr\u00fc\u00dfe \u65e5\u672c.txt" };
    for (int number = 0; number < 4; number++)
        put(names[number], "x");
    CHECK("all", found(L"many\\*", L"axc") == 6);
    CHECK("all with a dot in the pattern", found(L"many\\*.*", L"axc") == 6);
    CHECK("by extension", found(L"MANY\\*.Txt", L"ABD.TXT") == 3);
    CHECK("question mark", found(L"many\\a?c", L"axc") == 1);
    CHECK("one name, spelled as stored", found(L"many\\abd.txt", L"ABD.TXT") == 1);
    CHECK("unicode in any case", found(L"many\\GR\u00dc\u00dfE*", L"Gr\u00fc\u00dfe \u65e5\u672c.txt") == 1);
    CHECK("nothing fits", found(L"many\\z*", NULL) == 0 && GetLastError() == ERROR_FILE_NOT_FOUND);
    CHECK("in a missing folder", found(L"missing\\*", NULL) == 0 && GetLastError() == ERROR_PATH_NOT_FOUND);
    for (int number = 0; number < 300; number++) {
        wchar_t name[64];
        swprintf(name, 64, L"many\\number %d", number);
        put(name, "");
    }
    CHECK("hundreds", found(L"many\\number*", L"number 299") == 300);
}

static void attributes(void)
{
    put(L"attributes", "x");
    CHECK("a new file's", (GetFileAttributesW(L"attributes") & ~FILE_ATTRIBUTE_NORMAL) == FILE_ATTRIBUTE_ARCHIVE);
    DWORD wanted = FILE_ATTRIBUTE_READONLY | FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM | FILE_ATTRIBUTE_ARCHIVE;
    CHECK("set", SetFileAttributesW(L"attributes", wanted));
    CHECK("got", GetFileAttributesW(L"ATTRIBUTES") == wanted);
    CHECK("listed", found(L"attributes", L"attributes") == 1);
    CHECK("write what is read-only", opened(L"attributes", GENERIC_WRITE, 0, OPEN_EXISTING) == ERROR_ACCESS_DENIED);
    CHECK("delete what is read-only", fails(DeleteFileW(L"attributes"), ERROR_ACCESS_DENIED));
    CHECK("no more", SetFileAttributesW(L"attributes", FILE_ATTRIBUTE_NORMAL) && DeleteFileW(L"attributes"));
    CHECK("a lower file's", SetFileAttributesW(L"lower.txt", FILE_ATTRIBUTE_HIDDEN)
        && GetFileAttributesW(L"Lower.TXT") == FILE_ATTRIBUTE_HIDDEN && holds(L"lower.txt", "lower"));
    CHECK("and back", SetFileAttributesW(L"lower.txt", FILE_ATTRIBUTE_NORMAL));
    CHECK("a folder's", GetFileAttributesW(L"many") == FILE_ATTRIBUTE_DIRECTORY);
    CHECK("a hidden folder's", SetFileAttributesW(L"many", FILE_ATTRIBUTE_HIDDEN)
        && GetFileAttributesW(L"many") == (FILE_ATTRIBUTE_DIRECTORY | FILE_ATTRIBUTE_HIDDEN));
}

static void times(void)
{
    FILETIME created = { 0x10000000, 0x01c00000 }, read = { 0x20000000, 0x01c10000 }, written = { 0x30000000, 0x01c20000 };
    FILETIME a, b, c;
    HANDLE file = open_as(L"lower.txt", GENERIC_READ | GENERIC_WRITE, 0, OPEN_EXISTING, 0);
    CHECK("times set", SetFileTime(file, &created, &read, &written));
    CloseHandle(file);
    file = open_as(L"lower.txt", GENERIC_READ, 0, OPEN_EXISTING, 0);
    CHECK("times got", GetFileTime(file, &a, &b, &c));
    CHECK("time of writing", !CompareFileTime(&c, &written));
    CHECK("time of reading", !CompareFileTime(&b, &read));
    CHECK("time of creation", !CompareFileTime(&a, &created));
    BY_HANDLE_FILE_INFORMATION one, other;
    HANDLE again = open_as(L"LOWER.TXT", GENERIC_READ, ALL_SHARED, OPEN_EXISTING, 0);
    CHECK("one identity", GetFileInformationByHandle(file, &one));
    CloseHandle(file);
    CloseHandle(again);
    again = open_as(L"LOWER.TXT", GENERIC_READ, ALL_SHARED, OPEN_EXISTING, 0);
    CHECK("in any case", GetFileInformationByHandle(again, &other) && one.nFileIndexLow == other.nFileIndexLow
        && one.nFileIndexHigh == other.nFileIndexHigh);
    CloseHandle(again);
    CHECK("hard link", CreateHardLinkW(L"hard", L"lower.txt", NULL) && holds(L"HARD", "lower"));
    file = open_as(L"hard", GENERIC_READ, ALL_SHARED, OPEN_EXISTING, 0);
    CHECK("two links", GetFileInformationByHandle(file, &one) && one.nNumberOfLinks == 2);
    CloseHandle(file);
}

static void content(void)
{
    char bytes[16] = { 1 };
    DWORD length;
    LARGE_INTEGER place = { .QuadPart = 100000 }, size;
    HANDLE file = open_as(L"content", GENERIC_READ | GENERIC_WRITE, 0, CREATE_NEW, 0);
    CHECK("grow", SetFilePointerEx(file, place, NULL, FILE_BEGIN) && SetEndOfFile(file));
    CHECK("grown", GetFileSizeEx(file, &size) && size.QuadPart == 100000);
    place.QuadPart = 50000;
    CHECK("zeros", SetFilePointerEx(file, place, NULL, FILE_BEGIN) && ReadFile(file, bytes, 16, &length, NULL)
        && length == 16 && !bytes[0]);
    HANDLE mapping = CreateFileMappingW(file, NULL, PAGE_READWRITE, 0, 0, NULL);
    char *view = mapping ? MapViewOfFile(mapping, FILE_MAP_WRITE, 0, 0, 0) : NULL;
    CHECK("map", view != NULL);
    if (view) {
        memcpy(view + 60000, "mapped", 6);
        CHECK("flush", FlushViewOfFile(view, 0) && UnmapViewOfFile(view));
    }
    CloseHandle(mapping);
    place.QuadPart = 60000;
    CHECK("read what was mapped", SetFilePointerEx(file, place, NULL, FILE_BEGIN)
        && ReadFile(file, bytes, 6, &length, NULL) && !memcmp(bytes, "mapped", 6));
    place.QuadPart = 10;
    CHECK("cut", SetFilePointerEx(file, place, NULL, FILE_BEGIN) && SetEndOfFile(file) && GetFileSizeEx(file, &size)
        && size.QuadPart == 10);
    CHECK("read at the end", ReadFile(file, bytes, 16, &length, NULL) && length == 0);
    CloseHandle(file);
    file = open_as(L"lower.txt", FILE_APPEND_DATA, ALL_SHARED, OPEN_EXISTING, 0);
    CHECK("append", WriteFile(file, "!", 1, &length, NULL));
    CloseHandle(file);
    CHECK("appended", holds(L"lower.txt", "lower!"));
}

int main(void)
{
    dispositions();
    deletion();
    renaming();
    sharing();
    enumeration();
    attributes();
    times();
    content();
    return 0;
}
