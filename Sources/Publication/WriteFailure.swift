public import SystemPackage

/// Tells lasting write failures from temporary ones.
public enum WriteFailure {
    /// Errors that persist until a person changes the place: rights, names, sizes.
    private static let lasting: Set<CInt> = Set(
        [
            Errno.permissionDenied, .notPermitted, .readOnlyFileSystem, .fileNameTooLong, .notDirectory, .isDirectory,
            .tooManySymbolicLinkLevels, .fileTooLarge,
        ].map(\.rawValue))

    /// Whether a call would fail again in the same way, so that another attempt is useless.
    public static func isLasting(_ code: Errno) -> Bool { lasting.contains(code.rawValue) }

    /// Whether an error would occur again.
    public static func isLasting(_ error: PublicationError) -> Bool {
        switch error {
        case .held, .inTheWay, .refused, .kept, .nothingKept, .changed, .newerVersion, .malformed: true
        case .vanished: false
        case .file: error.code.map(isLasting) ?? false
        }
    }
}
