//! Link settings of an addon.

fn main() {
    napi_build::setup();
    // Threads and the signal handler of the addon outlive the last worker that has it loaded.
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
    // Its threads and its signal handler outlive the last worker that has it loaded.
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
