//! One file per table and every query of the product.
