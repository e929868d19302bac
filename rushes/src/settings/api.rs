//! Settings of the API.

use super::environment::{BadSetting, Bounds, Environment, TTL_MAX_S, bad};
use super::lookups;
use super::role::Role;
use super::secret;
use super::uploads;
use super::workers::{threads, workers};
use backend::{Config, DegradedBounds, Delivery, PasswordPolicy, Secrets};
use domain::{Cidr, Language, Limits};
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

/// Reads the settings of the API.
pub(super) fn config(
    env: &Environment<'_>,
    role: Role,
    data_dir: &Path,
    limits: Limits,
    storage_url: &str,
) -> Result<Config, BadSetting> {
    let secrets: Secrets = secret::secrets(env, role, data_dir)?;
    let default = Config::new(secrets);
    let presets: Vec<&str> = domain::preset::built_in().iter().map(|preset| preset.name).collect();
    let preset = env
        .text("RUSHES_DEFAULT_PRESET")?
        .unwrap_or_else(|| default.app.default_preset.clone());
    if !presets.contains(&preset.as_str()) {
        return Err(bad(
            "RUSHES_DEFAULT_PRESET",
            &format!("{preset:?}"),
            &presets.join(", "),
        ));
    }
    let ttl = |name, default: Duration| {
        let seconds = env.number(name, &Bounds::up_to(TTL_MAX_S, "seconds"), default.as_secs())?;
        Ok::<_, BadSetting>(Duration::from_secs(seconds))
    };
    let policies = [("basic", PasswordPolicy::Basic), ("strict", PasswordPolicy::Strict)];
    let mut app = default.app.clone();
    app.default_preset = preset;
    app.limits = limits;
    app.upload_ttl = uploads::ttl(env)?;
    app.outbound = uploads::outbound(env)?;
    app.lookups = lookups::lookups(env)?;
    app.sealer = secret::sealer(env, role, data_dir)?;
    app.threads = threads(workers(env)?);
    app.password_policy = env.one_of("RUSHES_PASSWORD_POLICY", &policies, PasswordPolicy::Basic)?;
    Ok(Config {
        app,
        public_url: public_url(env)?,
        token_ttl: ttl("RUSHES_TOKEN_TTL_S", default.token_ttl)?,
        link_ttl: ttl("RUSHES_LINK_TTL_S", default.link_ttl)?,
        language: env.one_of(
            "RUSHES_LANGUAGE",
            &[("es", Language::Es), ("en", Language::En)],
            Language::Es,
        )?,
        trusted_proxies: env.list::<Cidr>(
            "RUSHES_TRUSTED_PROXIES",
            "addresses or networks such as 10.0.0.0/8, separated by commas",
        )?,
        cors_origins: cors_origins(env)?,
        catalog_dir: env
            .text("RUSHES_CATALOG_DIR")?
            .map_or_else(|| data_dir.join("catalog"), PathBuf::from),
        degraded: degraded(env)?,
        delivery: delivery(env, storage_url)?,
        hsts: hsts(env)?,
        ..default
    })
}

fn public_url(env: &Environment<'_>) -> Result<Option<Url>, BadSetting> {
    let accepted = "http:// or https:// and a host";
    let url = env.parsed::<Url>("RUSHES_PUBLIC_URL", accepted)?;
    match url {
        Some(url) if !matches!(url.scheme(), "http" | "https") || !url.has_host() => {
            Err(bad("RUSHES_PUBLIC_URL", &format!("{:?}", url.as_str()), accepted))
        }
        url => Ok(url),
    }
}

/// The maximum ages of answers while the database is away. Zero switches these answers off.
fn degraded(env: &Environment<'_>) -> Result<DegradedBounds, BadSetting> {
    let default = DegradedBounds::default();
    let bounds = Bounds {
        range: 0..=TTL_MAX_S,
        unit: "seconds",
    };
    let age = |name, default: Duration| {
        let seconds = env.number(name, &bounds, default.as_secs())?;
        Ok::<_, BadSetting>(Duration::from_secs(seconds))
    };
    Ok(DegradedBounds {
        private: age("RUSHES_DEGRADED_PRIVATE_S", default.private)?,
        public: age("RUSHES_DEGRADED_PUBLIC_S", default.public)?,
    })
}

fn delivery(env: &Environment<'_>, storage_url: &str) -> Result<Delivery, BadSetting> {
    let accepted = [
        ("backend", Delivery::Backend),
        ("nginx", Delivery::Nginx),
        ("redirect", Delivery::Redirect),
    ];
    let delivery = env.one_of("RUSHES_DELIVERY", &accepted, Delivery::Backend)?;
    if delivery == Delivery::Redirect && !storage_url.starts_with("s3:") {
        let accepted = "backend or nginx, because STORAGE_URL is a directory";
        return Err(bad("RUSHES_DELIVERY", "\"redirect\"", accepted));
    }
    Ok(delivery)
}

fn hsts(env: &Environment<'_>) -> Result<Option<Duration>, BadSetting> {
    let seconds: Option<u64> = env.parsed("RUSHES_HSTS_MAX_AGE_S", "a whole number of seconds")?;
    Ok(seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs))
}

fn cors_origins(env: &Environment<'_>) -> Result<Vec<String>, BadSetting> {
    let accepted = "origins such as https://studio.example.com, separated by commas";
    let urls: Vec<Url> = env.list("RUSHES_CORS_ORIGINS", accepted)?;
    let origin = |url: Url| match (url.path(), url.query(), url.scheme()) {
        ("/", None, "http" | "https") => Ok(url.origin().ascii_serialization()),
        _ => Err(bad("RUSHES_CORS_ORIGINS", &format!("{:?}", url.as_str()), accepted)),
    };
    urls.into_iter().map(origin).collect()
}
