//! The OpenAPI schema of [`Output`]: one flat object for each kind, with `kind` as the discriminator.
//!
//! The derived schema would be an `allOf` of the fields of a kind and of an object with `kind` only. Both reject
//! unknown fields (`additionalProperties: false`), so no value could satisfy both.

use super::{AudioOutput, GifOutput, HlsOutput, Output, PosterOutput, SpriteOutput, VideoOutput};
use std::borrow::Cow;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{Discriminator, OneOfBuilder, Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

type Named = (String, RefOr<Schema>);

/// A kind of output.
struct Kind {
    /// The value of `kind` in JSON.
    value: &'static str,
    /// The name of the schema.
    schema: &'static str,
    description: &'static str,
    /// Schema of the fields other than `kind`.
    fields: fn() -> RefOr<Schema>,
    /// Adds the schemas that the fields refer to.
    referenced: fn(&mut Vec<Named>),
}

impl Kind {
    const fn of<T: ToSchema>(value: &'static str, schema: &'static str, description: &'static str) -> Self {
        Self {
            value,
            schema,
            description,
            fields: T::schema,
            referenced: T::schemas,
        }
    }

    /// Returns the schema of the fields with `kind` added to them.
    fn with_discriminator(&self) -> RefOr<Schema> {
        let mut schema = (self.fields)();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            let kind = ObjectBuilder::new()
                .schema_type(Type::String)
                .enum_values(Some([self.value]))
                .description(Some("The kind of this output."));
            object.properties.insert("kind".to_owned(), kind.into());
            object.required.insert(0, "kind".to_owned());
            object.description = Some(self.description.to_owned());
        }
        schema
    }
}

const KINDS: [Kind; 7] = [
    Kind::of::<VideoOutput>(
        "mp4",
        "Mp4Output",
        "A video in MP4, index first (fast start): H.264, H.265 or AV1 with AAC.",
    ),
    Kind::of::<VideoOutput>("webm", "WebmOutput", "A video in WebM: VP9 or AV1 with Opus."),
    Kind::of::<HlsOutput>(
        "hls",
        "HlsOutput",
        "An adaptive stream (RFC 8216, fragmented MP4): H.264 and AAC.",
    ),
    Kind::of::<AudioOutput>("audio", "AudioOutput", "Audio only."),
    Kind::of::<GifOutput>("gif", "GifOutput", "A short animation without audio."),
    Kind::of::<PosterOutput>("poster", "PosterOutput", "One still image (thumbnail)."),
    Kind::of::<SpriteOutput>(
        "sprite",
        "SpriteOutput",
        "Many small still images in sheets, with an index in WebVTT, for previews on a seek bar.",
    ),
];

impl PartialSchema for Output {
    fn schema() -> RefOr<Schema> {
        let mapping = KINDS.map(|kind| (kind.value, format!("#/components/schemas/{}", kind.schema)));
        let kinds = KINDS.iter().fold(OneOfBuilder::new(), |all, kind| {
            all.item(Ref::from_schema_name(kind.schema))
        });
        let one_of = kinds
            .description(Some("An output: one file or one set of files."))
            .discriminator(Some(Discriminator::with_mapping("kind", mapping)));
        RefOr::T(Schema::OneOf(one_of.build()))
    }
}

impl ToSchema for Output {
    fn name() -> Cow<'static, str> {
        "Output".into()
    }

    fn schemas(schemas: &mut Vec<Named>) {
        for kind in &KINDS {
            schemas.push((kind.schema.to_owned(), kind.with_discriminator()));
            (kind.referenced)(schemas);
        }
    }
}
