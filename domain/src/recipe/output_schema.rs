//! The OpenAPI schema of [`Output`]: one flat object for each kind, told apart by `kind`.
//!
//! The derived schema would be an `allOf` of the fields with an object that has `kind` alone. As the fields refuse unknown ones
//! (`additionalProperties: false`), nothing would fit it.

use super::{AudioFile, Gif, Hls, Movie, Output, Poster, Sprite};
use std::borrow::Cow;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{Discriminator, OneOfBuilder, Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

type Named = (String, RefOr<Schema>);

/// A kind of output: its word on the wire, the name of its schema, a description, and its other fields.
struct Kind {
    word: &'static str,
    schema: &'static str,
    description: &'static str,
    fields: fn() -> RefOr<Schema>,
    parts: fn(&mut Vec<Named>),
}

impl Kind {
    const fn of<T: ToSchema>(word: &'static str, schema: &'static str, description: &'static str) -> Self {
        Self {
            word,
            schema,
            description,
            fields: T::schema,
            parts: T::schemas,
        }
    }

    /// The fields with `kind` among them.
    fn flat(&self) -> RefOr<Schema> {
        let mut schema = (self.fields)();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            let kind = ObjectBuilder::new()
                .schema_type(Type::String)
                .enum_values(Some([self.word]))
                .description(Some("The kind of this output."));
            object.properties.insert("kind".to_owned(), kind.into());
            object.required.insert(0, "kind".to_owned());
            object.description = Some(self.description.to_owned());
        }
        schema
    }
}

const KINDS: [Kind; 7] = [
    Kind::of::<Movie>(
        "mp4",
        "Mp4Output",
        "A video in MP4, index first: H.264, H.265 or AV1 with AAC.",
    ),
    Kind::of::<Movie>("webm", "WebmOutput", "A video in WebM: VP9 or AV1 with Opus."),
    Kind::of::<Hls>(
        "hls",
        "HlsOutput",
        "An adaptive stream (RFC 8216, fragmented MP4): H.264 and AAC.",
    ),
    Kind::of::<AudioFile>("audio", "AudioOutput", "The sound alone."),
    Kind::of::<Gif>("gif", "GifOutput", "A short silent animation that plays everywhere."),
    Kind::of::<Poster>("poster", "PosterOutput", "One still."),
    Kind::of::<Sprite>(
        "sprite",
        "SpriteOutput",
        "Many small stills in sheets, with an index in WebVTT, for previews on a seek bar.",
    ),
];

impl PartialSchema for Output {
    fn schema() -> RefOr<Schema> {
        let mapping = KINDS.map(|kind| (kind.word, format!("#/components/schemas/{}", kind.schema)));
        let kinds = KINDS.iter().fold(OneOfBuilder::new(), |all, kind| {
            all.item(Ref::from_schema_name(kind.schema))
        });
        let either = kinds
            .description(Some("One file, or one set of files, to make."))
            .discriminator(Some(Discriminator::with_mapping("kind", mapping)));
        RefOr::T(Schema::OneOf(either.build()))
    }
}

impl ToSchema for Output {
    fn name() -> Cow<'static, str> {
        "Output".into()
    }

    fn schemas(schemas: &mut Vec<Named>) {
        for kind in &KINDS {
            schemas.push((kind.schema.to_owned(), kind.flat()));
            (kind.parts)(schemas);
        }
    }
}
