//! Layers that come and go while programs work.

use super::support::{Lab, can_mount};
use layerfs::control::{AttachRequest, Reply, Request, ask};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn with_layers(count: usize) -> Lab {
    let lab = Lab::new();
    lab.put("base/Shared/base.txt", b"base");
    lab.put("base/Shared/same.txt", b"from the base");
    for number in 0..count {
        lab.put(
            &format!("l{number}/Shared/layer{number}.txt"),
            format!("layer {number}").as_bytes(),
        );
        lab.put(&format!("l{number}/App{number}/data.bin"), &vec![number as u8; 300_000]);
        lab.pack(&format!("l{number}"), &format!("l{number}.vhdx"));
    }
    lab
}

#[test]
fn layers_appear_and_vanish_in_every_spelling() {
    if !can_mount() {
        return;
    }
    let mut lab = with_layers(1);
    lab.put("l0/Shared/SAME.txt", b"from the layer");
    lab.pack("l0", "again.vhdx");
    for writable in [false, true] {
        let mut arguments = vec!["--base", "base"];
        if writable {
            arguments.extend(["--writable", "writable"]);
        }
        lab.mount(&arguments);
        let mnt = lab.mnt();
        let read = |name: &str| fs::read_to_string(mnt.join(name)).ok();
        for _ in 0..3 {
            for name in ["Shared/layer0.txt", "SHARED/LAYER0.TXT"] {
                assert_eq!(read(name), None);
            }
            assert_eq!(read("Shared/same.txt").as_deref(), Some("from the base"));
            assert_eq!(read("shared/SAME.TXT").as_deref(), Some("from the base"));
            lab.done(&["attach", "mnt", "again.vhdx"]);
            for name in ["Shared/layer0.txt", "SHARED/LAYER0.TXT"] {
                assert_eq!(read(name).as_deref(), Some("layer 0"));
            }
            for name in ["Shared/same.txt", "shared/SAME.TXT"] {
                assert_eq!(read(name).as_deref(), Some("from the layer"));
            }
            assert_eq!(fs::read_dir(mnt.join("shared")).unwrap().count(), 3);
            lab.done(&["detach", "mnt", "again.vhdx"]);
            assert_eq!(fs::read_dir(mnt.join("shared")).unwrap().count(), 2);
        }
        lab.unmount();
    }
}

#[test]
fn detaching_waits_for_those_who_read() {
    if !can_mount() {
        return;
    }
    let mut lab = with_layers(1);
    lab.mount(&["--base", "base", "--layer", "l0.vhdx"]);
    let file = fs::File::open(lab.mnt().join("app0/DATA.bin")).unwrap();
    let refused = lab.refused(&["detach", "mnt", "l0.vhdx"]);
    assert!(refused.contains(r"\App0\data.bin"), "{refused}");
    assert!(refused.contains(&std::process::id().to_string()), "{refused}");
    lab.done(&["detach", "--force", "mnt", "l0.vhdx"]);
    assert!(!lab.mnt().join("App0").exists());
    // What is open stays readable.
    let mut bytes = vec![1; 1000];
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, 250_000).unwrap();
    assert_eq!(bytes, vec![0; 1000]);
    drop(file);
    lab.unmount();
}

#[test]
fn a_hundred_cycles_disturb_nobody() {
    const LAYERS: usize = 10;
    if !can_mount() {
        return;
    }
    let mut lab = with_layers(LAYERS);
    lab.mount(&["--base", "base", "--writable", "writable"]);
    let mnt = lab.mnt();
    let stop = AtomicBool::new(false);
    let cycles = std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            let mut rounds = 0_u32;
            while !stop.load(Ordering::Relaxed) {
                rounds += 1;
                let text = format!("round {rounds}");
                fs::write(mnt.join("Shared/written.txt"), &text).unwrap();
                assert_eq!(fs::read_to_string(mnt.join("shared/WRITTEN.txt")).unwrap(), text);
                assert_eq!(fs::read(mnt.join("Shared/base.txt")).unwrap(), b"base");
                // A layer's file is there whole, or not at all.
                for number in 0..LAYERS {
                    match fs::read(mnt.join(format!("App{number}/data.bin"))) {
                        Ok(bytes) => assert!(bytes == vec![number as u8; 300_000], "wrong bytes in layer {number}"),
                        Err(error) => assert!(matches!(error.raw_os_error(), Some(2 | 116)), "layer {number}: {error}"),
                    }
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            rounds
        });
        for _ in 0..100 {
            // All ten come and then go, asked for without a process of its own each.
            for number in 0..LAYERS {
                let request = AttachRequest::of(lab.path(&format!("l{number}.vhdx")));
                let reply = ask(&mnt, &Request::Attach(request)).unwrap();
                assert!(matches!(reply, Reply::Attached(_)), "{reply:?}");
            }
            for number in 0..LAYERS {
                let request = Request::Detach {
                    layer: lab.path(&format!("l{number}.vhdx")).to_str().unwrap().to_owned(),
                    force: true,
                    run_scripts: false,
                };
                let reply = ask(&mnt, &request).unwrap();
                assert!(matches!(reply, Reply::Detached { .. }), "{reply:?}");
            }
        }
        stop.store(true, Ordering::Relaxed);
        work.join().unwrap()
    });
    assert!(cycles > 10, "{cycles}");
    lab.unmount();
}

/// What the kernel has seen goes from memory, and is there again when it is looked at.
#[test]
fn the_kernel_forgets_what_was_seen_long_ago() {
    if !can_mount() {
        return;
    }
    let mut lab = Lab::new();
    for folder in 0..30 {
        for file in 0..100 {
            lab.put(&format!("tree/Folder {folder}/File {file}"), b"seen");
        }
    }
    lab.pack("tree", "base.vhdx");
    lab.mount(&["--base", "base.vhdx", "--known-files", "50"]);
    let known = |lab: &Lab| -> u64 {
        let status: serde_json::Value = serde_json::from_str(&lab.done(&["status", "mnt", "--json"])).unwrap();
        status["known_inodes"].as_u64().unwrap()
    };
    for _ in 0..3 {
        for folder in 0..30 {
            let entries = fs::read_dir(lab.mnt().join(format!("Folder {folder}"))).unwrap();
            let sizes = entries.map(|entry| entry.unwrap().metadata().unwrap().len());
            assert_eq!(sizes.sum::<u64>(), 400);
        }
        // Directories stay.
        for _ in 0..500 {
            if known(&lab) <= 50 + 31 {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(known(&lab) <= 50 + 31, "{}", known(&lab));
    }
    lab.unmount();
}

/// A file that is read in little pieces here and there gives what it holds, to its last byte, also what the kernel was given
/// without asking.
#[test]
fn little_pieces_of_a_file_are_what_it_holds() {
    use std::os::unix::fs::FileExt;
    if !can_mount() {
        return;
    }
    let mut lab = Lab::new();
    let content: Vec<u8> = (0..5_000_123_u64).map(|place| (place * place % 253) as u8).collect();
    lab.put("tree/big.bin", &content);
    lab.pack("tree", "base.vhdx");
    lab.mount(&["--base", "base.vhdx"]);
    let file = fs::File::open(lab.mnt().join("big.bin")).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_usize {
            let (file, content) = (&file, &content);
            scope.spawn(move || {
                for number in 0..3000 {
                    let place = (number * 7_919 + thread * 104_729) * 4096 % content.len();
                    let mut bytes = [0; 4096];
                    let length = file.read_at(&mut bytes, place as u64).unwrap();
                    let expected = &content[place..content.len().min(place + 4096)];
                    assert!(bytes[..length] == *expected, "{place}");
                }
            });
        }
    });
    let whole = fs::read(lab.mnt().join("big.bin")).unwrap();
    assert!(whole == content);
    assert_eq!(file.metadata().unwrap().len(), content.len() as u64);
    drop(file);
    lab.unmount();
}
