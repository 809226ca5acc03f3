//! The signature of a layer, judged by the keys that are accepted.

use layerfmt::read::{Layer, LayerError};
use layerfmt::sign::{self, SignError, TrustFile};
use serde::{Deserialize, Serialize};

/// What is known of a layer's signature.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// The id of the key that made it; `None` for an unsigned layer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key_id: Option<String>,
    /// What the trust file says of the key, where it accepts it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trusted_as: Option<String>,
}

impl Signature {
    /// `trusted`, `unjudged` (there is one, and nobody asked whose) or `unsigned`.
    pub fn state(&self) -> &'static str {
        match (&self.key_id, &self.trusted_as) {
            (_, Some(_)) => "trusted",
            (Some(_), None) => "unjudged",
            (None, None) => "unsigned",
        }
    }
}

/// Why a layer is not trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// It is not signed.
    #[error("the layer is not signed, expected a signature by a key of the trust file")]
    Unsigned,
    /// It has no manifest that could be signed.
    #[error("the image has no layer.json, expected a layer signed by a key of the trust file")]
    NoManifest,
    /// No accepted key made the signature, or it is of another manifest.
    #[error("layer.sig")]
    Sign(#[from] SignError),
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] LayerError),
    /// The index or a hive is not the one that was signed.
    #[error("{0} is not the one that layer.json names")]
    Changed(String),
}

/// Judges the signature of a layer. Without trust file a signature is told and not judged; one that cannot be read counts
/// for none then.
pub fn judge(layer: &Layer, trust: Option<&TrustFile>) -> Result<Signature, TrustError> {
    let bytes = match (layer.signature_bytes(), trust) {
        (Ok(bytes), _) => bytes,
        (Err(error), Some(_)) => return Err(error.into()),
        (Err(_), None) => None,
    };
    let parsed = match bytes.map(|bytes| sign::Signature::from_file_bytes(&bytes)) {
        Some(Ok(parsed)) => parsed,
        Some(Err(error)) if trust.is_some() => return Err(error.into()),
        Some(Err(_)) | None => None,
    };
    let Some(parsed) = parsed else {
        return match trust {
            Some(_) => Err(TrustError::Unsigned),
            None => Ok(Signature::default()),
        };
    };
    let key = trust
        .map(|trust| trust.verify(&parsed, layer.manifest_bytes()))
        .transpose()?;
    Ok(Signature {
        key_id: Some(parsed.key_id().to_string()),
        trusted_as: key.map(|key| key.comment.clone()),
    })
}
