//! Polygons as GeoJSON text (RFC 7946).

use geo::orient::{Direction, Orient};
use geo::{LineString, MultiPolygon, Polygon};
use std::fmt::Write as _;

/// Writes a polygon, or a multipolygon if there are more of them. Exterior rings are counterclockwise, holes clockwise
/// (RFC 7946 §3.1.6).
pub(crate) fn geo_json(polygons: Vec<Polygon>) -> String {
    let MultiPolygon(polygons) = MultiPolygon(polygons).orient(Direction::Default);
    let mut text = String::new();
    match polygons.as_slice() {
        [one] => {
            text.push_str(r#"{"type":"Polygon","coordinates":"#);
            write_polygon(&mut text, one);
        }
        several => {
            text.push_str(r#"{"type":"MultiPolygon","coordinates":"#);
            write_list(&mut text, several.iter(), write_polygon);
        }
    }
    text.push('}');
    text
}

fn write_polygon(text: &mut String, polygon: &Polygon) {
    let rings = std::iter::once(polygon.exterior()).chain(polygon.interiors());
    write_list(text, rings, write_ring);
}

fn write_ring(text: &mut String, ring: &LineString) {
    write_list(text, ring.coords(), |text, position| {
        // Writing to a string does not fail.
        let _ = write!(text, "[{},{}]", position.x, position.y);
    });
}

fn write_list<T>(text: &mut String, items: impl Iterator<Item = T>, write: impl Fn(&mut String, T)) {
    text.push('[');
    for (index, item) in items.enumerate() {
        if index > 0 {
            text.push(',');
        }
        write(text, item);
    }
    text.push(']');
}
