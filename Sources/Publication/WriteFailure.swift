public import SystemPackage

/// Which failures of writing heal and which do not.
public enum WriteFailure {
    /// What stays so until somebody changes the place: rights, names, sizes.
    private static let lasting: Set<CInt> = Set(
        [
            Errno.permissionDenied, .notPermitted, .readOnlyFileSystem, .fileNameTooLong, .notDirectory, .isDirectory,
            .tooManySymbolicLinkLevels, .fileTooLarge,
        ].map(\.rawValue))

    /// Whether a call would fail again in the same way, so that trying again is no use.
    public static func isLasting(_ code: Errno) -> Bool { lasting.contains(code.rawValue) }

    /// Whether an error is one that would come again.
    public static func isLasting(_ error: PublicationError) -> Bool {
        switch error {
        case .held, .inTheWay, .refused, .kept, .nothingKept, .changed, .newerVersion, .malformed: true
        case .vanished: false
        case .callFailed, .file, .access: error.code.map(isLasting) ?? false
        }
    }
}
