//! `hairpin._core`: the only crate that knows Python. What it offers stands in `src/hairpin/_core.pyi`.

mod address;
mod core;
mod events;
mod listener;
mod message;
mod options;
mod table;

use hairpin_proto::attributes::TABLE;
use hairpin_proto::message::method;
use pyo3::prelude::*;

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    enumeration(module, "Transport", &[("UDP", 0), ("TCP", 1)])?;
    enumeration(module, "Kind", &[("REQUEST", 0), ("INDICATION", 1), ("SUCCESS", 2), ("ERROR", 3)])?;
    enumeration(module, "Reach", &[("OUTSIDE", 0), ("INSIDE", 1), ("BOTH", 2)])?;
    enumeration(module, "Method", &METHODS)?;
    let attributes: Vec<(&str, u16)> = TABLE.iter().map(|row| (row.name, row.code)).collect();
    enumeration(module, "Attribute", &attributes)?;
    module.add("DecodeError", module.py().get_type::<message::DecodeError>())?;
    module.add_class::<address::Address>()?;
    module.add_class::<message::Message>()?;
    module.add_class::<events::Counters>()?;
    module.add_class::<events::Request>()?;
    module.add_class::<events::Closed>()?;
    module.add_class::<events::Moving>()?;
    module.add_class::<events::PeerConnection>()?;
    module.add_class::<events::Acknowledged>()?;
    module.add_class::<events::Totals>()?;
    module.add_class::<options::Options>()?;
    module.add_class::<listener::Certificate>()?;
    module.add_class::<listener::Listener>()?;
    module.add_class::<core::Core>()?;
    module.add_class::<table::Table>()?;
    module.add_function(wrap_pyfunction!(host_addresses, module)?)
}

const METHODS: [(&str, u16); 10] = [
    ("BINDING", method::BINDING),
    ("ALLOCATE", method::ALLOCATE),
    ("REFRESH", method::REFRESH),
    ("SEND", method::SEND),
    ("DATA", method::DATA),
    ("CREATE_PERMISSION", method::CREATE_PERMISSION),
    ("CHANNEL_BIND", method::CHANNEL_BIND),
    ("CONNECT", method::CONNECT),
    ("CONNECTION_BIND", method::CONNECTION_BIND),
    ("CONNECTION_ATTEMPT", method::CONNECTION_ATTEMPT),
];

fn enumeration(module: &Bound<'_, PyModule>, name: &str, members: &[(&str, u16)]) -> PyResult<()> {
    let py = module.py();
    let options = [("module", "hairpin._core"), ("qualname", name)];
    let base = py.import("enum")?.getattr("IntEnum")?;
    let options = pyo3::types::IntoPyDict::into_py_dict(options, py)?;
    module.add(name, base.call((name, members.to_vec()), Some(&options))?)
}

/// Every IP address of this host's interfaces.
#[pyfunction]
fn host_addresses() -> PyResult<Vec<String>> {
    Ok(hairpin_io::sockets::host_addresses()?.iter().map(ToString::to_string).collect())
}
