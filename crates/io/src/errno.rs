//! The system's numbers for what goes wrong with files, and the names by which users look them up: everywhere those of Unix.

#[cfg(unix)]
pub(crate) use rustix::io::Errno;

/// A number of this system, as [`std::io::Error`] has it.
#[cfg(windows)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(i32);

#[cfg(windows)]
impl Errno {
    pub(crate) const BADF: Self = Self(6);
    pub(crate) const DQUOT: Self = Self(1295);
    pub(crate) const EXIST: Self = Self(80);
    pub(crate) const FBIG: Self = Self(223);
    pub(crate) const INVAL: Self = Self(87);
    pub(crate) const ISDIR: Self = Self(336);
    pub(crate) const NOENT: Self = Self(2);
    pub(crate) const NOSPC: Self = Self(112);
    pub(crate) const NOTDIR: Self = Self(267);

    pub(crate) const fn raw_os_error(self) -> i32 {
        self.0
    }
}

#[cfg(windows)]
impl From<Errno> for std::io::Error {
    fn from(errno: Errno) -> Self {
        Self::from_raw_os_error(errno.0)
    }
}

/// The name of a number, where it is one that file work is known to meet.
pub(crate) fn name(number: i32) -> Option<&'static str> {
    NAMES.iter().find(|(errno, _)| errno.raw_os_error() == number).map(|(_, name)| *name)
}

#[cfg(unix)]
const NAMES: &[(Errno, &str)] = &[
    (Errno::ACCESS, "EACCES"),
    (Errno::AGAIN, "EAGAIN"),
    (Errno::BADF, "EBADF"),
    (Errno::BUSY, "EBUSY"),
    (Errno::DQUOT, "EDQUOT"),
    (Errno::EXIST, "EEXIST"),
    (Errno::FBIG, "EFBIG"),
    (Errno::INTR, "EINTR"),
    (Errno::INVAL, "EINVAL"),
    (Errno::IO, "EIO"),
    (Errno::ISDIR, "EISDIR"),
    (Errno::LOOP, "ELOOP"),
    (Errno::MFILE, "EMFILE"),
    (Errno::MLINK, "EMLINK"),
    (Errno::NAMETOOLONG, "ENAMETOOLONG"),
    (Errno::NFILE, "ENFILE"),
    (Errno::NODEV, "ENODEV"),
    (Errno::NOENT, "ENOENT"),
    (Errno::NOLCK, "ENOLCK"),
    (Errno::NOMEM, "ENOMEM"),
    (Errno::NOSPC, "ENOSPC"),
    (Errno::NOSYS, "ENOSYS"),
    (Errno::NOTDIR, "ENOTDIR"),
    (Errno::NOTEMPTY, "ENOTEMPTY"),
    (Errno::NXIO, "ENXIO"),
    (Errno::OPNOTSUPP, "ENOTSUP"),
    (Errno::PERM, "EPERM"),
    (Errno::ROFS, "EROFS"),
    (Errno::STALE, "ESTALE"),
    (Errno::TXTBSY, "ETXTBSY"),
    (Errno::XDEV, "EXDEV"),
];

#[cfg(windows)]
const NAMES: &[(Errno, &str)] = &[
    (Errno::NOENT, "ENOENT"),
    (Errno(3), "ENOENT"), // ERROR_PATH_NOT_FOUND
    (Errno(4), "EMFILE"), // ERROR_TOO_MANY_OPEN_FILES
    (Errno(5), "EACCES"), // ERROR_ACCESS_DENIED
    (Errno::BADF, "EBADF"),
    (Errno(8), "ENOMEM"),   // ERROR_NOT_ENOUGH_MEMORY
    (Errno(14), "ENOMEM"),  // ERROR_OUTOFMEMORY
    (Errno(17), "EXDEV"),   // ERROR_NOT_SAME_DEVICE
    (Errno(19), "EROFS"),   // ERROR_WRITE_PROTECT
    (Errno(23), "EIO"),     // ERROR_CRC
    (Errno(32), "EBUSY"),   // ERROR_SHARING_VIOLATION
    (Errno(33), "EBUSY"),   // ERROR_LOCK_VIOLATION
    (Errno(39), "ENOSPC"),  // ERROR_HANDLE_DISK_FULL
    (Errno(50), "ENOTSUP"), // ERROR_NOT_SUPPORTED
    (Errno::EXIST, "EEXIST"),
    (Errno::INVAL, "EINVAL"),
    (Errno::NOSPC, "ENOSPC"),
    (Errno(123), "EINVAL"),       // ERROR_INVALID_NAME
    (Errno(145), "ENOTEMPTY"),    // ERROR_DIR_NOT_EMPTY
    (Errno(183), "EEXIST"),       // ERROR_ALREADY_EXISTS
    (Errno(206), "ENAMETOOLONG"), // ERROR_FILENAME_EXCED_RANGE
    (Errno::FBIG, "EFBIG"),
    (Errno::NOTDIR, "ENOTDIR"),
    (Errno::ISDIR, "EISDIR"),
    (Errno(1117), "EIO"),   // ERROR_IO_DEVICE
    (Errno(1224), "EBUSY"), // ERROR_USER_MAPPED_FILE
    (Errno::DQUOT, "EDQUOT"),
];
