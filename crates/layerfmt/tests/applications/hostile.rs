//! Shortcuts, programs and tasks with random damage: read or refused, never a panic.

#[path = "../../fuzz/bodies/found.rs"]
mod bodies;

use crate::tools::{have, make_program};
use layerfmt::shell_link::ShellLink;
use proptest::prelude::*;

/// Sets bytes, cuts and repeats.
fn damaged(bytes: &[u8], changes: &[(usize, u8)], cut: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (place, byte) in changes {
        let length = bytes.len();
        bytes[place % length] = *byte;
    }
    bytes.truncate(cut % (bytes.len() * 4) + 1);
    bytes
}

fn changes() -> impl Strategy<Value = Vec<(usize, u8)>> {
    let byte = prop_oneof![any::<u8>(), Just(0), Just(0xFF), Just(0x80)];
    prop::collection::vec((any::<usize>(), byte), 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn shortcuts(which in 0_usize..3, changes in changes(), cut in any::<usize>()) {
        let ours = ShellLink {
            path: Some(r"C:\Program Files\App\größe.exe".into()),
            environment_path: Some(r"%ProgramFiles%\App\größe.exe".into()),
            ..ShellLink::default()
        };
        let ours = ours.to_bytes().unwrap();
        let wine: [&[u8]; 2] = [include_bytes!("wine/wine.lnk"), include_bytes!("wine/wine-environment.lnk")];
        let bytes = [&ours, wine[0], wine[1]][which];
        bodies::shell_link(&damaged(bytes, &changes, cut));
    }

    #[test]
    fn tasks(changes in changes(), cut in any::<usize>()) {
        let task = r#"<?xml version="1.0"?><Task xmlns="a"><Actions><Exec><Command>a</Command></Exec></Actions></Task>"#;
        bodies::task(&damaged(task.as_bytes(), &changes, cut));
    }
}

#[test]
fn programs() {
    if !have(&["x86_64-w64-mingw32-gcc", "x86_64-w64-mingw32-windres"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = std::fs::read(make_program(folder.path())).unwrap();
    let info = {
        let at = program
            .windows(4)
            .rposition(|bytes| bytes == [0xBD, 0x04, 0xEF, 0xFE])
            .unwrap();
        program[at - 40..].to_vec()
    };
    // The headers, the resources and the version are where damage matters.
    let resources = program.windows(6).position(|bytes| bytes == b".rsrc\0").unwrap();
    let start = u32::from_le_bytes(program[resources + 20..resources + 24].try_into().unwrap()) as usize;
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(1000));
    let strategy = (changes(), changes(), changes(), any::<usize>());
    runner
        .run(&strategy, |(headers, directories, version, cut)| {
            let mut bytes = program.clone();
            for (place, byte) in headers {
                bytes[place % 1024] = byte;
            }
            for (place, byte) in directories {
                bytes[start + place % 512] = byte;
            }
            bodies::program(&bytes);
            bodies::program(&damaged(&info, &version, cut));
            Ok(())
        })
        .unwrap();
}
