//! One declaration a layout: struct, encoding, decoding, and the table of its fields.

/// One row of a layout's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Name of the field.
    pub name: &'static str,
    /// Its first byte.
    pub offset: usize,
    /// Its length in bytes.
    pub len: usize,
    /// What it says.
    pub meaning: &'static str,
}

/// True if `fields` are in order, do not overlap, and end within `len`.
pub const fn fits(fields: &[Field], len: usize) -> bool {
    let mut i = 0;
    let mut end = 0;
    while i < fields.len() {
        if fields[i].offset < end {
            return false;
        }
        end = fields[i].offset + fields[i].len;
        i += 1;
    }
    end <= len
}

/// Declares a fixed layout of little-endian integers. Bytes between the fields are zero.
macro_rules! layout {
    ($(#[$doc:meta])* $name:ident, $len:literal bytes { $( $offset:literal $field:ident: $type:ty => $meaning:literal, )* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name { $( #[doc = $meaning] pub $field: $type, )* }

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// The table of the layout.
            pub const FIELDS: &[$crate::layout::Field] = &[ $( $crate::layout::Field {
                name: stringify!($field), offset: $offset, len: size_of::<$type>(), meaning: $meaning,
            }, )* ];

            /// The bytes.
            #[inline]
            pub fn encode(&self) -> [u8; $len] {
                let mut bytes = [0; $len];
                $( bytes[$offset..$offset + size_of::<$type>()].copy_from_slice(&self.$field.to_le_bytes()); )*
                bytes
            }

            /// Reads the fields; checks nothing.
            #[inline]
            pub fn decode(bytes: &[u8; $len]) -> Self {
                $( let mut $field = [0; size_of::<$type>()];
                   $field.copy_from_slice(&bytes[$offset..$offset + size_of::<$type>()]); )*
                Self { $( $field: <$type>::from_le_bytes($field), )* }
            }
        }

        const _: () = assert!($crate::layout::fits($name::FIELDS, $len), "fields overlap or overrun");
    };
}
pub(crate) use layout;
