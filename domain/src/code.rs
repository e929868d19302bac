//! The table of error codes: code, HTTP status, class of the failure of a task, message in Spanish and English. Codes
//! are stable; messages may change.
//!
//! The class decides if a task that failed with the code is tried again. `-` stands for a code with which no task
//! fails.
//!
//! `docs/ERRORS.md` is generated from it. Some messages are part of the contract with existing clients; they are
//! English in the Spanish column too.

use crate::failure_class::FailureClass;
use crate::language::Language;
use serde::{Deserialize, Serialize};

/// The column `class` of the table.
macro_rules! class {
    (-) => {
        None
    };
    ($class:ident) => {
        Some(FailureClass::$class)
    };
}

macro_rules! codes {
    ($($name:ident $code:literal $status:literal $class:tt $es:literal $en:literal)+) => {
        /// A stable error code. Clients see [`Code::as_str`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Code {$(
            #[doc = $en]
            #[serde(rename = $code)]
            $name,
        )+}

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Returns the code as clients see it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            /// Returns the HTTP status of a reply with this code. The code of a failed task is shown in a 200.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status),+ }
            }

            /// Returns the class of a failure with this code; `None` if no task fails with it.
            #[must_use]
            pub const fn class(self) -> Option<FailureClass> {
                match self { $(Self::$name => class!($class)),+ }
            }

            /// Returns the message for users.
            #[must_use]
            pub const fn sentence(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Self::$name, Language::Es) => $es, (Self::$name, Language::En) => $en),+
                }
            }
        }
    };
}

codes! {
    // Accounts
    FieldsMissing "fields_missing" 400 - "Faltan campos por llenar" "Some fields are missing"
    PasswordsDiffer "passwords_differ" 400 - "Las contraseñas no coinciden" "The passwords do not match"
    PasswordTooShort "password_too_short" 400 - "La contraseña debe tener al menos 8 caracteres" "The password must have at least 8 characters"
    PasswordTooLong "password_too_long" 400 - "La contraseña no puede pasar de 1024 bytes" "The password cannot be longer than 1024 bytes"
    PasswordCommon "password_common" 400 - "La contraseña es demasiado común" "The password is too common"
    UsernameInvalid "username_invalid" 400 - "El usuario no es válido" "The user name is not valid"
    UsernameTaken "username_taken" 400 - "El usuario ya existe" "The user already exists"
    EmailInvalid "email_invalid" 400 - "El correo electrónico no es válido" "The e-mail address is not valid"
    EmailTaken "email_taken" 400 - "El correo electrónico ya existe" "The e-mail address already exists"
    CredentialsWrong "credentials_wrong" 401 - "Usuario o contraseña incorrectos" "Wrong user name or password"
    TokenMissing "token_missing" 401 - "Missing Authorization Header" "Missing Authorization Header"
    TokenInvalid "token_invalid" 401 - "El token no es válido" "The token is not valid"
    TokenExpired "token_expired" 401 - "Token has expired" "Token has expired"

    // Requests
    RequestInvalid "request_invalid" 400 - "La petición no es válida" "The request is not valid"
    JsonInvalid "json_invalid" 400 - "El cuerpo no es JSON válido" "The body is not valid JSON"
    UriTooLong "uri_too_long" 414 - "La dirección es demasiado larga" "The address is too long"
    HeadersTooLarge "headers_too_large" 431 - "Las cabeceras son demasiado grandes" "The headers are too large"
    BodyTooLarge "body_too_large" 413 - "El cuerpo es demasiado grande" "The body is too large"
    ContentTypeUnsupported "content_type_unsupported" 415 - "El tipo de contenido no se acepta" "The content type is not accepted"
    QueryInvalid "query_invalid" 400 - "Un parámetro no es válido" "A parameter is not valid"
    RangeInvalid "range_invalid" 416 - "El rango pedido está fuera del archivo" "The range asked for is outside the file"
    RouteNotFound "route_not_found" 404 - "No existe esa ruta" "There is no such route"
    MethodNotAllowed "method_not_allowed" 405 - "El método no se acepta en esta ruta" "The method is not allowed on this route"
    RequestTimeout "request_timeout" 408 - "La petición tardó demasiado" "The request took too long"
    IdempotencyKeyInvalid "idempotency_key_invalid" 400 - "La clave de idempotencia no es válida" "The idempotency key is not valid"
    IdempotencyKeyInUse "idempotency_key_in_use" 409 - "La primera petición con esta clave todavía está en curso" "The first request with this key is still in progress"
    IdempotencyKeyReused "idempotency_key_reused" 422 - "Esta clave ya se usó para otra petición" "This key was already used for another request"
    RateLimited "rate_limited" 429 - "Demasiadas peticiones; intenta más tarde" "Too many requests; try again later"

    // Uploads and recipes
    FileMissing "file_missing" 400 - "No file part" "No file part"
    FileEmpty "file_empty" 400 - "El archivo está vacío" "The file is empty"
    MultipartInvalid "multipart_invalid" 400 - "El formulario multipart no es válido" "The multipart form is not valid"
    PartUnknown "part_unknown" 400 - "El formulario tiene un campo desconocido" "The form has an unknown part"
    UploadTooLarge "upload_too_large" 413 - "El archivo supera el límite" "The file is over the limit"
    UploadNotFound "upload_not_found" 404 - "No existe esa subida" "There is no such upload"
    UploadHeaderInvalid "upload_header_invalid" 400 - "Una cabecera de la subida no es válida" "A header of the upload is not valid"
    UploadOffsetWrong "upload_offset_wrong" 409 - "La subida no continúa en esa posición" "The upload does not continue at that offset"
    UploadInterrupted "upload_interrupted" 409 - "Otra petición continúa esta subida" "Another request continues this upload"
    UploadUnfinished "upload_unfinished" 409 - "La subida todavía no está completa" "The upload is not complete yet"
    UploadPurposeWrong "upload_purpose_wrong" 409 - "La subida es para otra cosa" "The upload is for something else"
    UploadUsed "upload_used" 409 - "Ya hay una tarea de esta subida" "There is already a task of this upload"
    UploadsTooMany "uploads_too_many" 409 - "No caben más subidas sin terminar en esta cuenta" "This account cannot have more unfinished uploads"
    UploadPartsInvalid "upload_parts_invalid" 409 - "Las partes no forman el archivo anunciado" "The parts do not form the announced file"
    PresignedUnavailable "presigned_unavailable" 409 - "El almacenamiento de esta instalación no acepta partes de los clientes; usa una subida reanudable" "The storage of this installation does not accept parts from clients; use a resumable upload"
    GuestLinkNotFound "guest_link_not_found" 404 - "No existe ese enlace de subida" "There is no such upload link"
    GuestLinkRevoked "guest_link_revoked" 410 - "El enlace de subida ya no se acepta" "The upload link was revoked"
    GuestLinkExpired "guest_link_expired" 410 - "El enlace de subida venció" "The upload link has expired"
    GuestLinkUsedUp "guest_link_used_up" 409 - "El enlace de subida ya se usó del todo" "The upload link is used up"
    GuestPasswordWrong "guest_password_wrong" 403 - "La contraseña del enlace no es correcta" "The password of the upload link is not correct"
    GuestLinksTooMany "guest_links_too_many" 409 - "No caben más enlaces de subida en esta cuenta" "This account cannot have more upload links"
    SourceUrlInvalid "source_url_invalid" 400 - "La dirección del archivo no es válida" "The URL of the file is not valid"
    SourceHeadersInvalid "source_headers_invalid" 400 - "Una cabecera para la dirección del archivo no se acepta" "A header for the URL of the file is not accepted"
    SourceUrlForbidden "source_url_forbidden" 400 - "La dirección del archivo no es pública" "The URL of the file is not public"
    SourceUrlUnreachable "source_url_unreachable" 502 - "El servidor del archivo no responde" "The host of the file does not answer"
    SourceUrlTls "source_url_tls" 502 - "No hay conexión segura con el servidor del archivo" "There is no secure connection to the host of the file"
    SourceUrlRedirect "source_url_redirect" 502 - "La dirección del archivo redirige a una que no se acepta" "The URL of the file redirects to one that is not accepted"
    SourceUrlStatus "source_url_status" 502 - "El servidor no entrega el archivo" "The host does not send the file"
    SourceUrlReply "source_url_reply" 502 - "La respuesta del servidor del archivo no es válida" "The reply of the host of the file is not valid"
    SourceUrlChanged "source_url_changed" 502 - "El archivo cambió durante la descarga" "The file has changed during the download"
    SealingUnavailable "sealing_unavailable" 409 Infrastructure "Esta instalación no guarda secretos" "This installation stores no secrets"
    ChecksumMismatch "checksum_mismatch" 460 - "Los datos no coinciden con su suma de verificación" "The data does not match its checksum"
    TusVersionUnsupported "tus_version_unsupported" 412 - "Esa versión de tus no se acepta" "That version of tus is not supported"
    NotMedia "not_media" 415 Input "El archivo no es un video ni un audio que podamos abrir" "The file is not a video or audio file that can be opened"
    PresetUnknown "preset_unknown" 400 - "No existe ese preset" "There is no such preset"
    PresetAndRecipe "preset_and_recipe" 400 - "Envía un preset o una receta, no ambos" "Send a preset or a recipe, not both"
    RecipeInvalid "recipe_invalid" 400 Input "La receta no es válida" "The recipe is not valid"
    NameInvalid "name_invalid" 400 - "El nombre no es válido" "The name is not valid"

    // Imports
    ImportNotFound "import_not_found" 404 - "No existe esa importación" "There is no such import"
    ImportFinished "import_finished" 409 - "La importación ya terminó" "The import has already finished"
    ImportUnfinished "import_unfinished" 409 - "La importación todavía no termina" "The import has not finished yet"
    ImportRowsExpired "import_rows_expired" 410 - "Las filas de la importación ya se eliminaron" "The rows of the import have been removed"
    NothingToRetry "nothing_to_retry" 409 - "La importación no tiene filas que repetir" "The import has no rows to retry"
    ImportsTooMany "imports_too_many" 429 - "Hay demasiadas importaciones en curso" "Too many imports are in progress"
    LookupUnavailable "lookup_unavailable" 409 - "Esta instalación no consulta puntos" "This installation looks up no points"
    LookupFailed "lookup_failed" 502 - "El servicio de consulta no respondió" "The lookup service has not answered"
    LookupInvalid "lookup_invalid" 502 - "La respuesta del servicio de consulta no es válida" "The reply of the lookup service is not valid"
    KindUnknown "kind_unknown" 400 - "No existe ese tipo de importación" "There is no such kind of import"
    ManifestEmpty "manifest_empty" 400 - "El manifiesto está vacío" "The manifest is empty"
    ManifestUnreadable "manifest_unreadable" 415 - "El manifiesto no se puede leer como CSV ni como JSONL" "The manifest cannot be read as CSV or JSONL"
    ArchiveDamaged "archive_damaged" 400 - "El manifiesto comprimido está dañado o incompleto" "The compressed manifest is damaged or incomplete"
    UnpackedTooLarge "unpacked_too_large" 400 - "El manifiesto descomprimido supera el límite" "The unpacked manifest is over the limit"
    TooManyRows "too_many_rows" 400 - "El manifiesto tiene demasiadas filas" "The manifest has too many rows"
    QuoteUnclosed "quote_unclosed" 400 - "El manifiesto tiene una comilla sin cerrar" "The manifest has an unclosed quote"
    ColumnsMissing "columns_missing" 400 - "Faltan columnas en el manifiesto" "Columns of the manifest are missing"
    ColumnUnknown "column_unknown" 400 - "El manifiesto tiene una columna desconocida" "The manifest has an unknown column"
    ColumnRepeated "column_repeated" 400 - "El manifiesto repite una columna" "The manifest has the same column twice"
    ColumnsTooMany "columns_too_many" 400 - "El manifiesto tiene demasiadas columnas" "The manifest has too many columns"
    ColumnUnnamed "column_unnamed" 400 - "El manifiesto tiene una columna sin nombre" "The manifest has a column without a name"
    ColumnCount "column_count" 400 - "La fila no tiene tantos campos como columnas hay" "The row does not have one field for each column"
    RowNotUtf8 "row_not_utf8" 400 - "La fila no está en UTF-8" "The row is not in UTF-8"
    RowTooLarge "row_too_large" 400 - "La fila es demasiado grande" "The row is too large"
    RowInvalid "row_invalid" 400 - "La fila no es un objeto JSON" "The row is not a JSON object"
    SourceMissing "source_missing" 400 - "La fila no dice de dónde viene el archivo" "The row does not say where its file comes from"
    SourceTwice "source_twice" 400 - "La fila da una dirección y una subida; envía solo una" "The row has a URL and an upload; send only one"
    UploadIdInvalid "upload_id_invalid" 400 - "El identificador de la subida no es válido" "The id of the upload is not valid"
    VideoIdInvalid "video_id_invalid" 400 - "El identificador del video no es válido" "The id of the video is not valid"
    ChangesMissing "changes_missing" 400 - "La fila no cambia nada" "The row changes nothing"
    TitleInvalid "title_invalid" 400 - "El título no es válido" "The title is not valid"
    DescriptionInvalid "description_invalid" 400 - "La descripción no es válida" "The description is not valid"
    TagsInvalid "tags_invalid" 400 - "Las etiquetas no son válidas" "The tags are not valid"
    RegionInvalid "region_invalid" 400 - "La región no es válida" "The region is not valid"
    VisibilityInvalid "visibility_invalid" 400 - "La visibilidad no es válida" "The visibility is not valid"
    ExternalIdInvalid "external_id_invalid" 400 - "El identificador externo no es válido" "The external id is not valid"
    MetadataInvalid "metadata_invalid" 400 - "Los metadatos no son válidos" "The metadata is not valid"
    LatitudeInvalid "latitude_invalid" 400 - "La latitud no es válida" "The latitude is not valid"
    LongitudeInvalid "longitude_invalid" 400 - "La longitud no es válida" "The longitude is not valid"
    LocationIncomplete "location_incomplete" 400 - "Envía la latitud y la longitud, no solo una" "Send the latitude and the longitude, not only one"

    // Datasets and analytics
    DatasetNotFound "dataset_not_found" 404 - "No existe ese conjunto de datos" "There is no such dataset"
    DatasetKindFixed "dataset_kind_fixed" 409 - "El tipo de un conjunto de datos no cambia" "The kind of a dataset cannot be changed"
    DatasetsTooMany "datasets_too_many" 409 - "No caben más conjuntos de datos en esta cuenta" "This account cannot have more datasets"
    RegionsMissing "regions_missing" 404 - "El conjunto de datos no tiene regiones" "The dataset has no regions"
    RegionNotFound "region_not_found" 404 - "No existe esa región" "There is no such region"
    MetricUnknown "metric_unknown" 400 - "No existe esa métrica" "There is no such metric"
    DimensionUnknown "dimension_unknown" 400 - "No existe esa dimensión" "There is no such dimension"
    PeriodInvalid "period_invalid" 400 - "El periodo no es válido" "The range of time is not valid"
    BoxInvalid "bbox_invalid" 400 - "El recuadro no es válido" "The bounding box is not valid"
    BucketTooFine "bucket_too_fine" 400 - "El conjunto de datos no se guarda en unidades tan pequeñas" "The dataset is not kept in units that small"
    BucketsTooMany "too_many_buckets" 400 - "La respuesta tendría demasiados valores" "The reply would have too many values"
    MapTooLarge "map_too_large" 400 - "El mapa sería demasiado grande" "The map would be too large"
    DateInvalid "date_invalid" 400 - "La fecha no es válida" "The date is not valid"
    NumberInvalid "number_invalid" 400 - "El número no es válido" "The number is not valid"
    GroupInvalid "group_invalid" 400 - "El grupo no es válido" "The group is not valid"
    RowIdInvalid "row_id_invalid" 400 - "El identificador de la fila no es válido" "The id of the row is not valid"
    IdConflict "id_conflict" 400 - "El identificador aparece con otros valores" "The id appears with other values"
    RegionUnknown "region_unknown" 400 - "No existe esa región" "There is no region with this code"
    GeometryInvalid "geometry_invalid" 400 - "La geometría no es válida" "The geometry is not valid"
    GeometryKind "geometry_kind" 400 - "La geometría no es un polígono" "The geometry is not a polygon"
    RingOpen "ring_open" 400 - "Un anillo del polígono no está cerrado" "A ring of the polygon is not closed"
    GeometryOutOfBounds "geometry_out_of_bounds" 400 - "La geometría sale del mapa" "The geometry leaves the map"
    GeometryTooLarge "geometry_too_large" 400 - "La geometría tiene demasiados puntos" "The geometry has too many points"

    // Images, credentials and presets
    ImageNotFound "image_not_found" 404 Input "No existe esa imagen" "There is no such image"
    ImageNameTaken "image_name_taken" 409 - "Ya hay una imagen con ese nombre" "There is already an image with that name"
    ImageInUse "image_in_use" 409 - "Una tarea sin terminar usa esta imagen" "A task that is not finished uses this image"
    ImagesTooMany "images_too_many" 409 - "No caben más imágenes en esta cuenta" "This account cannot have more images"
    NotAnImage "not_an_image" 415 - "El archivo no es un PNG ni un JPEG completo" "The file is not a complete PNG or JPEG"
    ImageTooLarge "image_too_large" 422 - "La imagen tiene demasiados píxeles" "The image has too many pixels"
    CredentialNotFound "credential_not_found" 404 Input "No existe esa credencial" "There is no such credential"
    CredentialNameTaken "credential_name_taken" 409 - "Ya hay una credencial con ese nombre" "There is already a credential with that name"
    CredentialsTooMany "credentials_too_many" 409 - "No caben más credenciales en esta cuenta" "This account cannot have more credentials"
    PresetNotFound "preset_not_found" 404 - "No existe ese preset" "There is no such preset"
    PresetNameTaken "preset_name_taken" 409 - "Ya hay un preset con ese nombre" "There is already a preset with that name"
    PresetBuiltIn "preset_built_in" 409 - "Este preset es de la instalación y no se puede cambiar" "This preset belongs to the installation and cannot be changed"
    PresetsTooMany "presets_too_many" 409 - "No caben más presets en esta cuenta" "This account cannot have more presets"

    // Tasks and files
    TaskNotFound "task_not_found" 404 - "Task not found" "Task not found"
    FileNotFound "file_not_found" 404 - "El archivo no existe o el enlace no es válido" "There is no such file, or the link is not valid"
    LinkExpired "link_expired" 410 - "El enlace venció; pide uno nuevo" "The link has expired; ask for a new one"
    PreconditionFailed "precondition_failed" 412 - "El archivo no es el que esperabas" "The file is not the one you expected"
    TaskFinished "task_finished" 409 - "La tarea ya terminó" "The task has already finished"
    TaskNotRetryable "task_not_retryable" 409 - "Solo se repite una tarea fallida o cancelada" "Only a failed or canceled task can be retried"
    SourceNotProbed "source_not_probed" 409 - "Este archivo todavía no se ha analizado" "This file has not been probed yet"
    ReportNotReady "report_not_ready" 404 - "Todavía no hay informe de esta tarea" "There is no report of this task yet"

    // Library
    VideoNotFound "video_not_found" 404 - "No existe ese video" "There is no such video"
    TaskNotProcessed "task_not_processed" 409 - "Solo se publica una tarea procesada" "Only a processed task can be published"
    ExternalIdTaken "external_id_taken" 409 - "Ya hay un video con ese identificador externo" "There is already a video with that external id"
    CursorInvalid "cursor_invalid" 400 - "El cursor no es de esta consulta" "The cursor does not belong to this query"
    CatalogFilling "catalog_filling" 503 - "El catálogo se está llenando" "The catalog is being filled"
    CursorExpired "cursor_expired" 410 - "El cursor es demasiado viejo" "The cursor is too old"
    EventStreamsTooMany "event_streams_too_many" 429 - "Hay demasiados streams de eventos abiertos" "There are too many open event streams"
    SearchNotFound "search_not_found" 404 - "No existe esa búsqueda" "There is no such search"
    SearchExpired "search_expired" 410 - "El resultado de la búsqueda venció" "The result of the search has expired"

    // Webhooks
    WebhookNotFound "webhook_not_found" 404 - "No existe ese webhook" "There is no such webhook"
    WebhooksTooMany "webhooks_too_many" 409 - "No caben más webhooks en esta cuenta" "This account cannot have more webhooks"
    WebhookUrlInvalid "webhook_url_invalid" 400 - "La dirección del webhook no es válida" "The URL of the webhook is not valid"
    WebhookUrlForbidden "webhook_url_forbidden" 400 - "La dirección del webhook no es pública" "The URL of the webhook is not public"
    WebhookDisabled "webhook_disabled" 409 - "El webhook está desactivado" "The webhook is disabled"
    DeliveryNotFound "delivery_not_found" 404 - "No existe esa entrega" "There is no such delivery"

    // Failed tasks
    SourceDamaged "source_damaged" 422 Input "El archivo está dañado o incompleto" "The file is damaged or incomplete"
    SourceEncrypted "source_encrypted" 422 Input "El archivo está cifrado" "The file is encrypted"
    NoVideoStream "no_video_stream" 422 Input "El archivo no tiene video" "The file has no video"
    NoAudioStream "no_audio_stream" 422 Input "El archivo no tiene audio" "The file has no audio"
    CodecUnsupported "codec_unsupported" 422 Unsupported "El códec del archivo no se acepta" "The codec of the file is not supported"
    DurationTooLong "duration_too_long" 422 Input "El video es demasiado largo" "The video is too long"
    PictureTooLarge "picture_too_large" 422 Input "La imagen del video es demasiado grande" "The frames of the video are too large"
    PictureTooSmall "picture_too_small" 422 Unsupported "La imagen es demasiado pequeña para ese códec" "The frames are too small for that codec"
    TooManyStreams "too_many_streams" 422 Input "El archivo tiene demasiadas pistas" "The file has too many streams"
    ClipGone "clip_gone" 422 Input "El video de la entrada o la salida ya no existe" "The clip of the intro or outro no longer exists"
    TrimOutsideSource "trim_outside_source" 422 Input "El recorte está fuera del video" "The trim is outside the video"
    TaskTooLarge "task_too_large" 422 Input "La tarea es demasiado grande" "The task is too large"
    OutputInvalid "output_invalid" 500 MediaCrash "El resultado no pasó la verificación" "The result did not pass verification"
    MediaCrash "media_crash" 500 MediaCrash "El procesamiento se interrumpió con este archivo" "Processing crashed on this file"
    MediaStalled "media_stalled" 500 ResourceLimit "El procesamiento dejó de avanzar" "Processing stopped making progress"
    MediaTimeout "media_timeout" 500 ResourceLimit "El procesamiento tardó demasiado" "Processing took too long"
    OutputTooLarge "output_too_large" 422 ResourceLimit "El resultado supera el límite de tamaño" "The result is over the size limit"
    MediaMemory "media_memory" 500 ResourceLimit "El procesamiento necesitó demasiada memoria" "Processing needed too much memory"
    MediaKilled "media_killed" 500 Infrastructure "El procesamiento fue detenido desde fuera" "Processing was killed from outside"
    WorkerCrash "worker_crash" 500 WorkerCrash "La tarea falló tres veces, la última porque cayó su trabajador" "The task failed three times, the last time because its worker died"
    StorageFailed "storage_failed" 500 Infrastructure "No se pudo leer o guardar un archivo" "A file could not be read or stored"
    DestinationForbidden "destination_forbidden" 400 Input "La dirección del destino no es pública" "The address of the destination is not public"
    DestinationUnreachable "destination_unreachable" 502 Infrastructure "El destino no responde" "The destination does not answer"
    DestinationRefused "destination_refused" 502 Input "El destino no acepta los archivos" "The destination does not accept the files"
    DestinationMismatch "destination_mismatch" 502 Infrastructure "El destino no guardó los archivos como se enviaron" "The destination did not store the files as they were sent"
    SandboxUnavailable "sandbox_unavailable" 500 Infrastructure "Esta máquina no puede aislar el procesamiento" "This machine cannot sandbox the processing"

    // Server errors
    StorageFull "storage_full" 507 Infrastructure "No queda espacio de almacenamiento" "There is no storage space left"
    Unavailable "unavailable" 503 Postponed "El servicio no está disponible por el momento" "The service is not available at the moment"
    Internal "internal" 500 Infrastructure "Error interno" "Internal error"
}

impl Code {
    /// Returns the codes with which an attempt at a task can fail.
    pub fn of_tasks() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|code| code.class().is_some())
    }

    /// Parses a code; returns `None` if it is unknown.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == word)
    }

    /// Returns the problem type (RFC 9457 §3.1.1): a stable relative reference to the documentation.
    #[must_use]
    pub fn type_uri(self) -> String {
        format!("/docs/errors#{}", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_fails_with_codes_that_have_a_class() {
        let of_tasks: Vec<_> = Code::of_tasks().collect();
        assert_eq!(Code::SourceDamaged.class(), Some(FailureClass::Input));
        assert_eq!(Code::TokenExpired.class(), None);
        assert!(of_tasks.contains(&Code::NotMedia) && !of_tasks.contains(&Code::TaskNotFound));
    }

    #[test]
    fn codes_are_unique_and_in_snake_case_and_have_two_messages() {
        let mut seen = std::collections::HashSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()), "duplicate {}", code.as_str());
            assert!(
                code.as_str()
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            );
            assert!((400..600).contains(&code.status()));
            for language in [Language::Es, Language::En] {
                assert!(!code.sentence(language).is_empty() && !code.sentence(language).ends_with('.'));
            }
            assert_eq!(Code::from_word(code.as_str()), Some(*code));
        }
    }
}
