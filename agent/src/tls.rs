//! TLS as libpq means it: what each `sslmode` checks of the server's certificate.
//!
//! Source: PostgreSQL documentation, "SSL Support" (protection provided in different modes).
//! Signatures of the handshake are verified in every mode, also where nobody vouches for the
//! certificate: SCRAM's channel binding rests on the server owning the key of its certificate.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore,
    SignatureScheme, client::WantsClientCert, version,
};

use crate::conninfo::{RootCertificates, SslMode, TlsSettings, TlsVersion};

/// Why TLS could not be prepared. No message holds the content of a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// `verify-ca` or `verify-full` without root certificates.
    #[error(
        "sslmode asks for a verified server, but no root certificate is known; give sslrootcert=FILE or sslrootcert=system, or put the file at ~/.postgresql/root.crt"
    )]
    NoRoots,
    /// A file that cannot be read as PEM.
    #[error("{what} `{}` cannot be read: {reason}", path.display())]
    ReadFile {
        /// Which file.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// What is wrong, in words.
        reason: String,
    },
    /// A private key that others could have read.
    #[error(
        "private key `{}` can be read by group or others; run chmod 0600 on it (0640 if root owns it)",
        .0.display()
    )]
    KeyPermissions(PathBuf),
    /// A certificate that the TLS library does not take.
    #[error("{what} is not accepted")]
    Rejected {
        /// Which part.
        what: &'static str,
        /// What the TLS library says.
        #[source]
        source: rustls::Error,
    },
}

/// Makes the TLS configuration for these settings, reading the files they name.
///
/// `SslMode::Disable` gets a configuration too; it is up to the caller not to use it.
pub fn client_config(settings: &TlsSettings) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions: Vec<_> = [(TlsVersion::V12, &version::TLS12), (TlsVersion::V13, &version::TLS13)]
        .into_iter()
        .filter(|(version, _)| (settings.lowest..=settings.highest).contains(version))
        .map(|(_, version)| version)
        .collect();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .map_err(|source| TlsError::Rejected { what: "the range of TLS versions", source })?
        .dangerous()
        .with_custom_certificate_verifier(verifier(settings, &provider)?);
    let mut config = with_own_certificate(builder, settings)?;
    config.enable_sni = settings.send_name;
    if settings.direct {
        // Servers refuse a direct handshake without this protocol name (PostgreSQL 17, "SSL
        // Session Encryption").
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    Ok(config)
}

fn verifier(
    settings: &TlsSettings,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let algorithms = provider.signature_verification_algorithms;
    let trusted = match &settings.roots {
        RootCertificates::System => {
            let verifier = rustls_platform_verifier::Verifier::new(Arc::clone(provider));
            let what = "the operating system's certificate store";
            return match verifier {
                Ok(verifier) => Ok(Arc::new(verifier)),
                Err(source) => Err(TlsError::Rejected { what, source }),
            };
        }
        RootCertificates::None if settings.mode >= SslMode::VerifyCa => {
            return Err(TlsError::NoRoots);
        }
        RootCertificates::None => None,
        RootCertificates::File(path) => Some(read_roots(path)?),
    };
    let check_name = settings.mode == SslMode::VerifyFull;
    Ok(Arc::new(Verifier { trusted, check_name, algorithms }))
}

fn read_roots(path: &Path) -> Result<Trusted, TlsError> {
    let certificates = read_certificates("root certificate file", path)?;
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots
            .add(certificate.clone())
            .map_err(|source| TlsError::Rejected { what: "a root certificate", source })?;
    }
    Ok(Trusted { roots, certificates })
}

fn read_certificates(
    what: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(what, path, &error))?;
    if certificates.is_empty() {
        return Err(unreadable(what, path, &pem::Error::NoItemsFound));
    }
    Ok(certificates)
}

fn unreadable(what: &'static str, path: &Path, error: &pem::Error) -> TlsError {
    let reason = match error {
        pem::Error::Io(error) if error.kind() == io::ErrorKind::NotFound => {
            "there is no such file".to_owned()
        }
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound if what == "private key" => {
            "it holds no unencrypted private key in PEM form (decrypt it with `openssl pkey`)"
                .to_owned()
        }
        pem::Error::NoItemsFound => "it holds no certificate in PEM form".to_owned(),
        _ => "it is not valid PEM".to_owned(),
    };
    TlsError::ReadFile { what, path: path.to_owned(), reason }
}

/// Adds our own certificate, where one is configured and the mode could use it.
fn with_own_certificate(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    settings: &TlsSettings,
) -> Result<ClientConfig, TlsError> {
    let Some(certificate) = &settings.certificate else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = read_certificates("client certificate", certificate)?;
    let key_file = settings.key.as_deref().unwrap_or(certificate);
    let key = read_key(key_file)?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|source| TlsError::Rejected { what: "the client certificate or its key", source })
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let metadata = fs::metadata(path)
        .map_err(|error| unreadable("private key", path, &pem::Error::Io(error)))?;
    let forbidden = if metadata.uid() == 0 { 0o027 } else { 0o077 };
    if metadata.mode() & forbidden != 0 {
        return Err(TlsError::KeyPermissions(path.to_owned()));
    }
    PrivateKeyDer::from_pem_file(path).map_err(|error| unreadable("private key", path, &error))
}

/// The authorities that may vouch for the server.
#[derive(Debug)]
struct Trusted {
    roots: RootCertStore,
    certificates: Vec<CertificateDer<'static>>,
}

/// Checks the server's certificate as far as the mode asks for.
#[derive(Debug)]
struct Verifier {
    trusted: Option<Trusted>,
    check_name: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(trusted) = &self.trusted else { return Ok(ServerCertVerified::assertion()) };
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let chain = verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &trusted.roots,
            intermediates,
            now,
            self.algorithms.all,
        );
        match chain {
            // A self-signed certificate that the user trusts by name of its file. It is refused
            // only for being an authority too, after its dates have been checked.
            Err(error) if is_authority(&error) && trusted.certificates.contains(end_entity) => {}
            outcome => outcome?,
        }
        if self.check_name {
            verify_server_name(&certificate, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Whether a certificate was refused because it is one of an authority. The reason is not part
/// of the library's public enum, so it is known by its text; a test pins it.
fn is_authority(error: &rustls::Error) -> bool {
    matches!(error, rustls::Error::InvalidCertificate(CertificateError::Other(other))
        if other.to_string() == "CaUsedAsEndEntity")
}

/// Says in words why a certificate was refused, and what to do; `None` where the error is of
/// another kind.
pub(crate) fn explain(error: &rustls::Error) -> Option<&'static str> {
    let rustls::Error::InvalidCertificate(reason) = error else { return None };
    Some(match reason {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "no trusted authority signed the server's certificate; give the right one with sslrootcert"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "connect with a name from the certificate's subjectAltName, or use sslmode=verify-ca"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired; renew it on the server"
        }
        CertificateError::Other(other) if other.to_string() == "UnsupportedCertVersion" => {
            "the server's certificate is of X.509 version 1; issue it again with a subjectAltName"
        }
        _ => "renew the server's certificate, or check sslrootcert",
    })
}

#[cfg(test)]
mod tests {
    use super::{PemObject, Trusted, Verifier};
    use super::{TlsError, client_config, explain, read_roots};
    use crate::conninfo::ConnInfo;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::{CertificateDer, UnixTime};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    /// Signed by itself for `localhost` and marked as an authority, as `openssl req -x509` makes
    /// them; valid from November 2026 to 2126. Its key was thrown away.
    const SELF_SIGNED: &str = "-----BEGIN CERTIFICATE-----
MIIBlDCCATugAwIBAgIUAR4nRF0JrvNJ+Z4R6IEce1nhf+cwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMjEzMzkzNFoYDzIxMjYxMDI5
MTMzOTM0WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASVZr5UbbUGlSJuBlDt5HL/ek3owW5z+9uu8G4q295p/attbnMtGRh0
IfNTAER0yaDo/4op7j+QghwfaVYZQe0Ko2kwZzAdBgNVHQ4EFgQUk6eRdRTMNbjc
kqFM7UAixqc/9F8wHwYDVR0jBBgwFoAUk6eRdRTMNbjckqFM7UAixqc/9F8wDwYD
VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwID
RwAwRAIgCynzKPL5BLkxPGb0wGlOlq84Hidnm37CfSUI7KLFGYMCID+RQ8pZhXd6
HyldNGnhQgqEqoLmaTYdE/HPtjg9pdMG
-----END CERTIFICATE-----";

    /// What becomes of that certificate in a year, for a name, under a verifier that trusts it.
    fn in_year(year: u64, name: &'static str, check_name: bool) -> Result<(), String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), SELF_SIGNED).unwrap();
        let trusted: Trusted = read_roots(file.path()).unwrap();
        let provider = rustls::crypto::ring::default_provider();
        let algorithms = provider.signature_verification_algorithms;
        let verifier = Verifier { trusted: Some(trusted), check_name, algorithms };
        let certificate = CertificateDer::from_pem_slice(SELF_SIGNED.as_bytes()).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs((year - 1970) * 31_557_600));
        let name = name.try_into().unwrap();
        let outcome = verifier.verify_server_cert(&certificate, &[], &name, &[], now);
        outcome.map(|_| ()).map_err(|error| explain(&error).unwrap_or("?").to_owned())
    }

    #[test]
    fn a_self_signed_certificate_can_be_trusted_by_its_file() {
        assert_eq!(in_year(2030, "localhost", true), Ok(()));
        assert_eq!(in_year(2030, "elsewhere", false), Ok(()));
        assert!(in_year(2030, "elsewhere", true).unwrap_err().contains("subjectAltName"));
        assert!(in_year(2130, "localhost", false).unwrap_err().contains("expired"));
    }

    fn prepare(given: &str) -> Result<rustls::ClientConfig, TlsError> {
        let env = |name: &str| (name == "HOME").then(|| "/nonexistent".to_owned());
        client_config(ConnInfo::resolve(Some(given), &env).unwrap().tls())
    }

    fn refuse(given: &str, part: &str) {
        let message = prepare(given).expect_err(given).to_string();
        assert!(message.contains(part), "{given}: {message}");
    }

    #[test]
    fn files_that_are_missing_or_wrong_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let junk = folder.path().join("junk.pem");
        fs::write(&junk, "no certificate").unwrap();
        let junk = junk.display();
        refuse("sslmode=verify-full", "sslrootcert=FILE");
        refuse("sslmode=require sslrootcert=/nonexistent/r.pem", "no such file");
        refuse(&format!("sslmode=verify-ca sslrootcert={junk}"), "holds no certificate");
        refuse(&format!("sslcert={junk} sslkey={junk}"), "client certificate");
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key.pem");
        fs::write(&key, "nothing").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(super::read_key(&key), Err(TlsError::KeyPermissions(_))));
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let message = super::read_key(&key).unwrap_err().to_string();
        assert!(message.contains("unencrypted private key"), "{message}");
    }

    #[test]
    fn versions_names_and_direct_negotiation_reach_the_library() {
        let config = prepare("sslmode=require sslnegotiation=direct sslsni=0").unwrap();
        assert_eq!(config.alpn_protocols, [b"postgresql".to_vec()]);
        assert!(!config.enable_sni);
        assert!(prepare("ssl_min_protocol_version=TLSv1.3").unwrap().alpn_protocols.is_empty());
    }
}
