/// The name and version of a format that kfacd writes and reads again: `kfacd.report/2`.
///
/// Every file or message that outlives a process states its format. A reader calls ``problem(with:oldest:)`` and
/// refuses the file with the resulting sentence. It never guesses at the content of a later version.
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

    /// Checks whether a reader of this version can read a file that states a version.
    ///
    /// - Parameters:
    ///   - stated: What the file states; `nil` when it states nothing.
    ///   - oldest: The earliest version that the reader still reads; this version when `nil`.
    /// - Returns: The reason why it cannot, or `nil`.
    public func problem(with stated: String?, oldest: Int? = nil) -> FormatProblem? {
        guard let stated else { return .missing(expected: self) }
        guard let found = FormatVersion(stated) else { return .malformed(stated, expected: self) }
        guard found.name == name else { return .otherFormat(found, expected: self) }
        return problem(withNumber: found.number, oldest: oldest)
    }

    /// The same check for a file that states only a number.
    public func problem(withNumber found: Int, oldest: Int? = nil) -> FormatProblem? {
        if found > number { return .newer(FormatVersion(name, found), expected: self) }
        if found < oldest ?? number { return .older(FormatVersion(name, found), expected: self) }
        return nil
    }
}

/// Why a file is not read because of its format.
public enum FormatProblem: Error, Equatable, Sendable, CustomStringConvertible {
    /// The file states no format.
    case missing(expected: FormatVersion)
    /// The stated text is not a format and a version.
    case malformed(String, expected: FormatVersion)
    /// The file has another format.
    case otherFormat(FormatVersion, expected: FormatVersion)
    /// A later version of the program wrote the file.
    case newer(FormatVersion, expected: FormatVersion)
    /// An earlier version of the program wrote the file, and this version no longer reads it.
    case older(FormatVersion, expected: FormatVersion)

    /// The clause that follows the file's name, with the remedy.
    public var description: String {
        switch self {
        case .missing(let expected):
            "states no format; expected \"\(expected)\". It is damaged, or no file of kfacd."
        case .malformed(let text, let expected):
            "states the format \"\(text.excerpt)\"; expected \"\(expected)\". It is damaged, or no file of kfacd."
        case .otherFormat(let found, let expected):
            "is of the format \"\(found.description.excerpt)\"; expected \"\(expected)\". Name another, or restore it if "
                + "it is damaged."
        case .newer(let found, let expected):
            "is of the format \"\(found)\", which a later version of kfacd wrote; this one reads \"\(expected)\". Use "
                + "the version that wrote it, or a later one."
        case .older(let found, let expected):
            "is of the format \"\(found)\", which an earlier version of kfacd wrote; this one reads \"\(expected)\". "
                + "Make it again with this version."
        }
    }
}

/// The versions that this program writes, all in one place.
///
/// A change to the content of one of these files must raise its number here. The file's reader must then state how it
/// reads earlier versions, or what the user should do instead.
extension FormatVersion {
    /// Layer inputs and output gradients of a task.
    public static let capture = FormatVersion("kfacd.capture", 1)
    /// Kronecker factors of a task.
    public static let factors = FormatVersion("kfacd.factors", 1)
    /// Sums of outer products of one rank's rows, not yet divided.
    public static let partials = FormatVersion("kfacd.partials", 1)
    /// Factors summed over tasks.
    public static let regularizer = FormatVersion("kfacd.regularizer", 1)
    /// Damped inverses.
    public static let inverses = FormatVersion("kfacd.inverses", 1)
    /// The provenance in a merged checkpoint.
    public static let checkpoint = FormatVersion("kfacd.checkpoint", 1)
    /// `report.json`; version 1 had no interference of pairs.
    public static let report = FormatVersion("kfacd.report", 2)
    /// The list of the files that a job wrote into its output.
    public static let manifest = FormatVersion("kfacd.manifest", 1)
    /// The claim that says which job holds an output directory.
    public static let claim = FormatVersion("kfacd.claim", 1)
    /// The mark of a staging directory.
    public static let staging = FormatVersion("kfacd.staging", 1)
    /// The steps that a publication is about to take.
    public static let publication = FormatVersion("kfacd.publication", 1)
    /// The lasting name of a coordinator.
    public static let coordinator = FormatVersion("kfacd.coordinator", 1)
    /// The layout of a directory of blobs: the coordinator's store, a worker's cache.
    public static let blobs = FormatVersion("kfacd.blobs", 1)
    /// The coordinator's journal; version 1 had no checks and no generation.
    public static let journal = FormatVersion("kfacd.journal", 2)
    /// The file beside the journal that records the journal's end.
    public static let journalWitness = FormatVersion("kfacd.journal-witness", 1)
    /// Who pushed a file of partial sums, and when.
    public static let push = FormatVersion("kfacd.push", 1)
    /// The files of a run that a job uses.
    public static let runHold = FormatVersion("kfacd.run-hold", 1)
    /// A file with a secret or a public key.
    public static let key = FormatVersion("kfacd.key", 1)
    /// A study's rows.
    public static let results = FormatVersion("kfaclab.results", 1)
    /// A study's directory: its settings and the layout of the rest.
    public static let study = FormatVersion("kfaclab.study", 1)
    /// A study's stage.
    public static let stage = FormatVersion("kfaclab.stage", 1)
    /// The messages between programs of kfacd.
    public static let wire = FormatVersion("kfacd.wire", 14)
}
