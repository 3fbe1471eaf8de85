//! produce
