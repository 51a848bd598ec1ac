//! STUN messages as Python sees them: values, never bytes to be taken apart.

use crate::address::Address;
use hairpin_proto::attributes::{code, row, Value, Wire};
use hairpin_proto::integrity::Signature;
use hairpin_proto::message::{Kind, Message as Wired};
use hairpin_proto::writer::Writer;
use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use std::hash::{Hash, Hasher};

create_exception!(hairpin._core, DecodeError, PyValueError, "The bytes are no STUN message.");

/// A STUN message (RFC 8489, section 5), frozen. A property is the first attribute of its name, None where there is none.
#[pyclass(frozen, eq, hash, module = "hairpin._core")]
pub struct Message(pub Wired<Box<[u8]>>);

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.0.bytes() == other.0.bytes()
    }
}

impl Hash for Message {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.bytes().hash(state);
    }
}

/// What a message is made of, as Python says it.
pub type Attributes<'py> = Vec<(u16, Bound<'py, PyAny>)>;

#[pymethods]
impl Message {
    /// From exactly one message's bytes; raises DecodeError.
    #[staticmethod]
    fn decode(data: &[u8]) -> PyResult<Self> {
        let bytes: Box<[u8]> = data.into();
        Wired::decode(bytes).map(Self).map_err(|error| DecodeError::new_err(error.to_string()))
    }

    /// A message of these attributes, in order, signed where there is a key; ValueError where a value does not fit its attribute.
    #[staticmethod]
    #[pyo3(signature = (method, kind, transaction_id, attributes, key=None))]
    fn build(
        method: u16,
        kind: u8,
        transaction_id: [u8; 12],
        attributes: Attributes<'_>,
        key: Option<&[u8]>,
    ) -> PyResult<Self> {
        decoded(write((method, kind_of(kind)?, transaction_id), &attributes, (key.map(Signature::Sha1), false))?)
    }

    /// The response to this request: an error where the attributes hold ERROR-CODE; with FINGERPRINT where the request had it.
    #[pyo3(signature = (attributes, key=None))]
    fn answer(&self, attributes: Attributes<'_>, key: Option<&[u8]>) -> PyResult<Self> {
        decoded(self.answered(&attributes, key)?)
    }

    /// Whether the integrity was made with this key, in constant time.
    fn verify(&self, key: &[u8]) -> bool {
        self.0.verify(key)
    }

    /// Every attribute that counts, in order; None for a value that does not parse, bytes where the attribute is not known.
    fn attributes(&self, py: Python<'_>) -> PyResult<Vec<(u16, Py<PyAny>)>> {
        let read = |(code, bytes): (u16, &[u8])| {
            let value = match row(code) {
                Some(row) => row.wire.read(bytes, self.0.transaction()),
                None => Some(Value::Bytes(bytes)),
            };
            Ok((code, optional(py, value)?))
        };
        self.0.attributes().map(read).collect()
    }

    fn __bytes__<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.bytes())
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }

    #[getter]
    fn method(&self) -> u16 {
        self.0.method()
    }

    #[getter]
    fn kind(&self) -> u8 {
        match self.0.kind() {
            Kind::Request => 0,
            Kind::Indication => 1,
            Kind::Success => 2,
            Kind::Error => 3,
        }
    }

    #[getter]
    fn transaction_id<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.transaction())
    }

    /// Comprehension-required attributes that are not understood, each once, in order.
    #[getter]
    fn unknown<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.0.unknown().collect::<Vec<u16>>())
    }

    /// Comprehension-required attributes whose value does not parse.
    #[getter]
    fn malformed<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.0.malformed().collect::<Vec<u16>>())
    }

    /// Every XOR-PEER-ADDRESS that parses, in order.
    #[getter]
    fn peers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.0.peers().flatten().map(Address::from).collect::<Vec<Address>>())
    }

    #[getter]
    fn username(&self) -> Option<&str> {
        self.0.text(code::USERNAME)
    }

    #[getter]
    fn userhash<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        match self.0.value(code::USERHASH) {
            Some(Value::Bytes(hash)) => Some(PyBytes::new(py, hash)),
            _ => None,
        }
    }

    #[getter]
    fn password_algorithm(&self) -> Option<u32> {
        self.0.number(code::PASSWORD_ALGORITHM)
    }

    #[getter]
    fn access_token<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0.first(code::ACCESS_TOKEN).map(|token| PyBytes::new(py, token))
    }

    #[getter]
    fn realm(&self) -> Option<&str> {
        self.0.text(code::REALM)
    }

    #[getter]
    fn nonce(&self) -> Option<&str> {
        self.0.text(code::NONCE)
    }

    #[getter]
    fn error_code(&self) -> Option<(u16, String)> {
        match self.0.value(code::ERROR_CODE) {
            Some(Value::Error(number, reason)) => Some((number, reason.to_owned())),
            _ => None,
        }
    }

    #[getter]
    fn channel_number(&self) -> Option<u32> {
        self.0.number(code::CHANNEL_NUMBER)
    }

    #[getter]
    fn lifetime(&self) -> Option<u32> {
        self.0.number(code::LIFETIME)
    }

    #[getter]
    fn even_port(&self) -> Option<u32> {
        self.0.number(code::EVEN_PORT)
    }

    #[getter]
    fn requested_transport(&self) -> Option<u32> {
        self.0.number(code::REQUESTED_TRANSPORT)
    }

    #[getter]
    fn requested_address_family(&self) -> Option<u32> {
        self.0.number(code::REQUESTED_ADDRESS_FAMILY)
    }

    #[getter]
    fn additional_address_family(&self) -> Option<u32> {
        self.0.number(code::ADDITIONAL_ADDRESS_FAMILY)
    }

    #[getter]
    fn dont_fragment(&self) -> bool {
        self.0.first(code::DONT_FRAGMENT).is_some()
    }

    #[getter]
    fn reservation_token<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        match self.0.value(code::RESERVATION_TOKEN) {
            Some(Value::Bytes(token)) => Some(PyBytes::new(py, token)),
            _ => None,
        }
    }

    #[getter]
    fn mobility_ticket<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0.first(code::MOBILITY_TICKET).map(|ticket| PyBytes::new(py, ticket))
    }

    #[getter]
    fn connection_id(&self) -> Option<u32> {
        self.0.number(code::CONNECTION_ID)
    }

    #[getter]
    fn xor_relayed_address(&self) -> Option<Address> {
        self.0.address(code::XOR_RELAYED_ADDRESS).map(Address::from)
    }

    #[getter]
    fn xor_mapped_address(&self) -> Option<Address> {
        self.0.address(code::XOR_MAPPED_ADDRESS).map(Address::from)
    }

    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0.first(code::DATA).map(|data| PyBytes::new(py, data))
    }
}

impl Message {
    /// The bytes of `answer`.
    pub fn answered(&self, attributes: &Attributes<'_>, key: Option<&[u8]>) -> PyResult<Box<[u8]>> {
        let failed = attributes.iter().any(|(code, _)| *code == code::ERROR_CODE);
        let kind = if failed { Kind::Error } else { Kind::Success };
        let signature = key.map(|key| self.signature(key));
        write((self.0.method(), kind, *self.0.transaction()), attributes, (signature, self.0.has_fingerprint()))
    }

    /// MESSAGE-INTEGRITY-SHA256 if and only if the request named an algorithm, MD5 too (RFC 8489, section 9.2.4).
    fn signature<'a>(&self, key: &'a [u8]) -> Signature<'a> {
        match self.0.first(code::PASSWORD_ALGORITHM) {
            Some(_) => Signature::Sha256(key),
            None => Signature::Sha1(key),
        }
    }
}

fn kind_of(kind: u8) -> PyResult<Kind> {
    match kind {
        0 => Ok(Kind::Request),
        1 => Ok(Kind::Indication),
        2 => Ok(Kind::Success),
        3 => Ok(Kind::Error),
        _ => Err(PyValueError::new_err("kind is 0 to 3")),
    }
}

fn write(
    (method, kind, transaction): (u16, Kind, [u8; 12]),
    attributes: &Attributes<'_>,
    (signature, fingerprint): (Option<Signature<'_>>, bool),
) -> PyResult<Box<[u8]>> {
    let mut bytes = Vec::with_capacity(256);
    let mut writer = Writer::new(&mut bytes, method, kind, &transaction);
    for (code, value) in attributes {
        put(&mut writer, *code, value)?;
    }
    if writer.finish(signature, fingerprint) {
        Ok(bytes.into_boxed_slice())
    } else {
        Err(unfit())
    }
}

fn decoded(bytes: Box<[u8]>) -> PyResult<Message> {
    Wired::decode(bytes).map(Message).map_err(|_| unfit())
}

fn unfit() -> PyErr {
    PyValueError::new_err("a value does not fit its attribute")
}

fn put(writer: &mut Writer<'_>, code: u16, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let row = row(code).ok_or_else(|| PyValueError::new_err(format!("no attribute has the code {code:#06x}")))?;
    match row.wire {
        Wire::Address | Wire::XorAddress => writer.put(code, &Value::Address(value.extract::<Address>()?.0)),
        Wire::Text { .. } => writer.put(code, &Value::Text(&value.extract::<String>()?)),
        Wire::U32 | Wire::Channel | Wire::Port | Wire::First8 | Wire::Bit | Wire::Algorithm => {
            writer.put(code, &Value::Number(value.extract()?))
        }
        Wire::Codes => writer.put(code, &Value::Codes(value.extract()?)),
        Wire::Error => {
            let (number, reason): (u16, String) = value.extract()?;
            writer.put(code, &Value::Error(number, &reason))
        }
        Wire::FamilyError => {
            let (family, number, reason): (u8, u16, String) = value.extract()?;
            writer.put(code, &Value::FamilyError(family, number, &reason))
        }
        _ => writer.put(code, &Value::Bytes(value.extract()?)),
    };
    Ok(())
}

fn optional(py: Python<'_>, value: Option<Value<'_>>) -> PyResult<Py<PyAny>> {
    let Some(value) = value else { return Ok(py.None()) };
    Ok(match value {
        Value::Number(number) => number.into_pyobject(py)?.into_any().unbind(),
        Value::Text(text) => text.into_pyobject(py)?.into_any().unbind(),
        Value::Bytes(bytes) => PyBytes::new(py, bytes).into_any().unbind(),
        Value::Address(address) => Address::from(address).into_pyobject(py)?.into_any().unbind(),
        Value::Error(number, reason) => (number, reason).into_pyobject(py)?.into_any().unbind(),
        Value::FamilyError(family, number, reason) => (family, number, reason).into_pyobject(py)?.into_any().unbind(),
        Value::Codes(codes) => PyTuple::new(py, codes)?.into_any().unbind(),
    })
}
