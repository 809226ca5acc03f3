//! Has the demo compiled anew when its fixture changes: `include_dir!` does not see new files by itself.

fn main() {
    println!("cargo:rerun-if-changed=../../fixtures/demo");
}
