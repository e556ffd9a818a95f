//! Writes the corpus to start from: `cargo run --example seeds -- DIRECTORY`.

use std::{env, fs, io, path::Path};

fn main() -> io::Result<()> {
    let root = env::args().nth(1).unwrap_or_else(|| "corpus".to_owned());
    for target in ssm_fuzz::TARGETS {
        let folder = Path::new(&root).join(target.name);
        fs::create_dir_all(&folder)?;
        for (number, seed) in (target.seeds)().into_iter().enumerate() {
            fs::write(folder.join(format!("seed-{number:03}")), seed)?;
        }
    }
    Ok(())
}
