//! Writes the first inputs into `seeds/<target>/`: `cargo run --example seeds`.

use std::path::Path;

fn main() -> std::io::Result<()> {
    for (target, _) in varve_fuzz::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
        std::fs::create_dir_all(&folder)?;
        for (name, bytes) in varve_fuzz::seeds::seeds(target) {
            std::fs::write(folder.join(name), bytes)?;
        }
    }
    Ok(())
}
