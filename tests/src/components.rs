//! Shipped components, and others that are made of them.

use std::path::{Path, PathBuf};

/// A plugin that is shipped with the host.
pub fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../plugins/components/{name}.wasm"))
}

/// Adds a custom section to a component, such as what it says about itself.
pub fn add_section(component: &mut Vec<u8>, name: &str, payload: &[u8]) {
    fn leb(mut value: usize, to: &mut Vec<u8>) {
        loop {
            let byte = u8::try_from(value & 0x7f).expect("seven bits");
            value >>= 7;
            to.push(if value == 0 { byte } else { byte | 0x80 });
            if value == 0 {
                break;
            }
        }
    }
    let mut body = Vec::new();
    leb(name.len(), &mut body);
    body.extend(name.as_bytes());
    body.extend(payload);
    component.push(0);
    leb(body.len(), component);
    component.extend(body);
}
