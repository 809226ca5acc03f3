//! What the fuzz targets and the mutation tests do with files that applications are found in and that may hold anything.

use cv_disk::{MemoryDisk, WriteAt};
use layerfmt::applications::parse_task;
use layerfmt::pe::{Program, VersionInfo};
use layerfmt::shell_link::ShellLink;

/// Reads `bytes` as a shortcut. One that can be written reads the same again.
pub fn shell_link(bytes: &[u8]) {
    let Ok(link) = ShellLink::parse(bytes) else { return };
    let Ok(written) = link.to_bytes() else { return };
    let again = ShellLink::parse(&written).expect("what was written");
    assert_eq!(again.description, link.description);
    assert_eq!(again.directory, link.directory);
    assert_eq!(again.arguments, link.arguments);
    assert_eq!(again.icon, link.icon);
    assert_eq!(
        (again.icon_index, again.window, again.hot_key),
        (link.icon_index, link.window, link.hot_key)
    );
}

/// Reads `bytes` as a program.
pub fn program(bytes: &[u8]) {
    let _ = VersionInfo::parse(bytes);
    let disk = MemoryDisk::new(bytes.len() as u64);
    disk.write_at(bytes, 0).expect("memory");
    let Ok(Some(program)) = Program::open(&disk) else {
        return;
    };
    let _ = (program.architecture(), program.version_info());
    if let Ok(Some(icon)) = program.icon() {
        assert!(icon.len() < 8 << 20);
    }
}

/// Reads `bytes` as a task of the task scheduler.
pub fn task(bytes: &[u8]) {
    let _ = parse_task(bytes);
}
