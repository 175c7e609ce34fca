/// The format of something that we write and read again, and its version: `kfacd.report/1`.
///
/// Everything of ours that outlives a process states one. Whoever reads it asks ``problem(with:oldest:)`` and refuses
/// with its sentence: what a later version wrote is never guessed at.
public struct FormatVersion: Hashable, Sendable, CustomStringConvertible {
    /// What the format is for, without its version.
    public let name: String
    /// The version, from 1 on.
    public let number: Int

    /// Names a version of a format.
    public init(_ name: String, _ number: Int) {
        self.name = name
        self.number = number
    }

    /// Reads what ``description`` writes; `nil` for any other text.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, parts[1].allSatisfy({ "0"..."9" ~= $0 }), let number = Int(parts[1]),
            number > 0, String(number) == parts[1]
        else { return nil }
        self.init(String(parts[0]), number)
    }

    /// The name and the number, with a slash between them.
    public var description: String { "\(name)/\(number)" }

    /// Looks whether a file that states a version can be read by who knows this one.
    ///
    /// - Parameters:
    ///   - stated: What the file states; `nil` when it states nothing.
    ///   - oldest: The first version that is still read; this one when none is named.
    /// - Returns: What forbids it, or `nil`.
    public func problem(with stated: String?, oldest: Int? = nil) -> FormatProblem? {
        guard let stated else { return .missing(expected: self) }
        guard let found = FormatVersion(stated) else { return .malformed(stated, expected: self) }
        guard found.name == name else { return .otherFormat(found, expected: self) }
        return problem(withNumber: found.number, oldest: oldest)
    }

    /// The same for what states a number alone.
    public func problem(withNumber found: Int, oldest: Int? = nil) -> FormatProblem? {
        if found > number { return .newer(FormatVersion(name, found), expected: self) }
        if found < oldest ?? number { return .older(FormatVersion(name, found), expected: self) }
        return nil
    }
}

/// Why something that states its format, or should, is not read.
public enum FormatProblem: Error, Equatable, Sendable, CustomStringConvertible {
    /// It states no format.
    case missing(expected: FormatVersion)
    /// What it states is no format and version.
    case malformed(String, expected: FormatVersion)
    /// It is something else.
    case otherFormat(FormatVersion, expected: FormatVersion)
    /// A later version of the program wrote it.
    case newer(FormatVersion, expected: FormatVersion)
    /// An earlier version of the program wrote it, and it is not read any more.
    case older(FormatVersion, expected: FormatVersion)

    /// The clause that follows the name of the file, with what to do.
    public var description: String {
        switch self {
        case .missing(let expected):
            "states no format; expected \"\(expected)\". It is damaged, or no file of kfacd."
        case .malformed(let text, let expected):
            "states the format \"\(text.excerpt)\"; expected \"\(expected)\". It is damaged, or no file of kfacd."
        case .otherFormat(let found, let expected):
            "is of the format \"\(found.description.excerpt)\"; expected \"\(expected)\". Name another file."
        case .newer(let found, let expected):
            "is of the format \"\(found)\", which a later version of kfacd wrote; this one reads \"\(expected)\". Use "
                + "the version that wrote it, or a later one."
        case .older(let found, let expected):
            "is of the format \"\(found)\", which an earlier version of kfacd wrote; this one reads \"\(expected)\". "
                + "Make it again with this version."
        }
    }
}

/// The versions that this program writes: one place for all that outlives a process.
///
/// Whoever changes what one of these files holds raises its number here, and says at its reader how earlier ones are
/// read or what to do instead.
extension FormatVersion {
    /// Layer inputs and output gradients of a task.
    public static let capture = FormatVersion("kfacd.capture", 1)
    /// Kronecker factors of a task.
    public static let factors = FormatVersion("kfacd.factors", 1)
    /// Factors summed over tasks.
    public static let regularizer = FormatVersion("kfacd.regularizer", 1)
    /// Damped inverses.
    public static let inverses = FormatVersion("kfacd.inverses", 1)
    /// The provenance in a merged checkpoint.
    public static let checkpoint = FormatVersion("kfacd.checkpoint", 1)
    /// `report.json`.
    public static let report = FormatVersion("kfacd.report", 1)
    /// What lists the files that a job wrote into its output.
    public static let manifest = FormatVersion("kfacd.manifest", 1)
    /// Who holds an output directory.
    public static let claim = FormatVersion("kfacd.claim", 1)
    /// What marks a staging directory.
    public static let staging = FormatVersion("kfacd.staging", 1)
    /// What a publication is about to do.
    public static let publication = FormatVersion("kfacd.publication", 1)
    /// The lasting name of a coordinator.
    public static let coordinator = FormatVersion("kfacd.coordinator", 1)
    /// The layout of a directory of blobs: the coordinator's store, a worker's cache.
    public static let blobs = FormatVersion("kfacd.blobs", 1)
    /// The coordinator's journal; 1 had no checks and no generation.
    public static let journal = FormatVersion("kfacd.journal", 2)
    /// What stands beside the journal and tells how far it had come.
    public static let journalWitness = FormatVersion("kfacd.journal-witness", 1)
    /// A file with a secret or a public key.
    public static let key = FormatVersion("kfacd.key", 1)
    /// A study's rows.
    public static let results = FormatVersion("kfaclab.results", 1)
    /// A study's directory: its settings, and what the rest of it is like.
    public static let study = FormatVersion("kfaclab.study", 1)
    /// A study's stage.
    public static let stage = FormatVersion("kfaclab.stage", 1)
    /// What programs of kfacd say to each other.
    public static let wire = FormatVersion("kfacd.wire", 4)
}
