public import Identifiers

/// The place of partial sums: a run, a rank and a sequence.
public struct RunPlace: Hashable, Sendable, CustomStringConvertible {
    /// The run.
    public var run: RunName
    /// Rank and sequence.
    public var place: PartialsPlace

    /// Names a place.
    public init(run: RunName, place: PartialsPlace) { (self.run, self.place) = (run, place) }

    /// The place in words.
    public var description: String { "run \"\(run.rawValue.excerpt)\", \(place)" }
}

/// A file of partial sums that a client pushes: its place in a run, and its content's size and digest.
public struct PushedPart: Equatable, Sendable {
    /// The run, rank and sequence.
    public var at: RunPlace
    /// The content.
    public var content: BlobReference

    /// Describes a part.
    public init(run: RunName, place: PartialsPlace, content: BlobReference) {
        (at, self.content) = (RunPlace(run: run, place: place), content)
    }

    /// The run.
    public var run: RunName { at.run }
    /// Rank and sequence.
    public var place: PartialsPlace { at.place }
}

/// The names of files in a run's directory.
///
/// A name has the place and the digest, so files with different bytes never have the same name.
struct PartFileName {
    /// What a file of a part holds.
    enum Kind: String {
        /// All bytes, checked.
        case whole = "safetensors"
        /// The bytes that have arrived so far.
        case incoming
        /// Who pushed the part, and when.
        case record = "json"
    }

    let place: PartialsPlace
    let digest: BlobDigest
    let kind: Kind

    init(_ place: PartialsPlace, _ digest: BlobDigest, _ kind: Kind) {
        (self.place, self.digest, self.kind) = (place, digest, kind)
    }

    /// Reads what ``text`` writes; nil for any other text.
    init?(_ text: String) {
        let halves = text.split(separator: ".", omittingEmptySubsequences: false)
        let fields = halves[0].split(separator: "-", omittingEmptySubsequences: false)
        guard halves.count == 2, let kind = Kind(rawValue: String(halves[1])), fields.count == 3,
            let rank = Int(fields[0]), let sequence = Int(fields[1]), let digest = BlobDigest(hexadecimal: fields[2])
        else { return nil }
        self.init(PartialsPlace(rank: rank, sequence: sequence), digest, kind)
        guard self.text == text else { return nil }
    }

    var text: String { "\(place.rank)-\(place.sequence)-\(digest).\(kind.rawValue)" }
}
