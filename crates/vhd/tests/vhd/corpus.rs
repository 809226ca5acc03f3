//! Files made by Windows, Hyper-V and others.

use crate::tools::{open, real_file, sha256};
use cv_disk::{Differencing, ExtentKind, Extents, ReadAt, ReadError};
use cv_vhd::vhd::{DiskType, FooterPlace, FooterState, PathKind, Vhd};
use std::sync::Arc;

#[test]
fn a_disk_of_hyper_v_is_as_large_as_its_current_size() {
    let Some((_folder, path)) = real_file("hyperv2012r2-dynamic.vhd") else {
        return;
    };
    let file = open(&path);
    assert!(Vhd::probe(&*file).unwrap());
    let disk = Vhd::open(file).unwrap();
    assert_eq!(disk.len(), 136_365_211_648);
    assert!(disk.info().geometry.size() < disk.len());
    let extents: Vec<_> = Extents::all(&disk).map(Result::unwrap).collect();
    assert_eq!(extents.len(), 1);
    assert_eq!(extents[0].kind, ExtentKind::Hole);
    let mut end = [1; 4096];
    disk.read_at(&mut end, disk.len() - 4096).unwrap();
    assert_eq!(end, [0; 4096]);
}

#[test]
fn a_disk_of_disk2vhd_reads_as_it_should() {
    let Some((_folder, path)) = real_file("d2v-zerofilled.vhd") else {
        return;
    };
    let disk = Vhd::open(open(&path)).unwrap();
    assert_eq!(disk.len(), 263_454_720);
    assert_eq!(
        sha256(&disk),
        "1ba076be94a8a64541c25aae8d5a5f8b0da758c3797af597e03acb431ff8d143"
    );
}

#[test]
fn a_differencing_disk_of_windows_is_not_read_without_its_parent() {
    let Some((_folder, path)) = real_file("fat-differential.vhd") else {
        return;
    };
    let disk = Vhd::open(open(&path)).unwrap();
    let info = disk.info();
    assert_eq!(info.disk_type, DiskType::Differencing);
    assert_eq!(info.identity.to_string(), "f84f1636-cd9e-9041-a69e-dcc2380e416a");
    assert_eq!(info.creator_application, "win ");
    assert_eq!(
        (info.head_footer, info.tail_footer),
        (FooterState::Good, FooterState::Good)
    );

    let parent = disk.parent_reference().unwrap();
    assert_eq!(parent.identity.to_string(), "5fa21a55-f394-aa4d-9958-1951a67d5540");
    let paths: Vec<_> = parent
        .paths
        .iter()
        .map(|path| (path.kind, path.path.as_str()))
        .collect();
    let absolute = r"C:\Projects\dfvfs\test_data\fat-parent.vhd";
    assert_eq!(
        paths,
        [
            (PathKind::RelativeUnicode, r".\fat-parent.vhd"),
            (PathKind::AbsoluteUnicode, absolute),
            (PathKind::Name, absolute),
        ]
    );

    let failure = disk.read_at(&mut [0; 512], 0).unwrap_err();
    assert!(matches!(failure, ReadError::Damaged(_)));
    assert!(failure.to_string().contains("fat-parent.vhd"), "{failure}");
    assert!(disk.extent_at(0).is_err());
    // What the file itself holds is known all the same.
    let held = disk.own_extent_at(134 * 512).unwrap();
    assert_eq!((held.kind, held.length), (ExtentKind::Data, 512));
    disk.read_at(&mut [0; 512], held.start).unwrap();
}

#[test]
fn a_chain_with_stale_checksums_is_read() {
    let Some((_folder, child)) = real_file("image-differential.vhd") else {
        return;
    };
    let Some((_folder, parent)) = real_file("image.vhd") else {
        return;
    };
    let parent = Vhd::open(open(&parent)).unwrap();
    let mut child = Vhd::open(open(&child)).unwrap();
    let reference = child.parent_reference().unwrap();
    assert!(reference.matches(&parent.identity()));
    assert_eq!(reference.path(PathKind::Name), Some("image.vhd"));
    let info = child.info();
    assert_eq!(info.head_footer, FooterState::StaleChecksum);
    assert_eq!(info.footer_used, FooterPlace::Head);
    child.set_parent(Arc::new(parent));
    assert_eq!(
        sha256(&child),
        "c6db12a7db548e193c29420c1b4533e4708b20c5033db5cc29ef075d48316d25"
    );
}
