import Identifiers
import LinearAlgebra
import Safetensors
import SystemPackage

/// Compares the files of partial sums with each other, and brings them into the order of their sum.
struct PartialsAssembly {
    /// The files that count, in the order of (rank, sequence).
    private(set) var files: [PartialsFile] = []
    private(set) var repetitions: [PartialsSet.Repetition] = []
    /// The counts by owner, over all files.
    private(set) var counts: [String: PartialsSet.Counts] = [:]
    /// The sums behind exact traces by layer, in the order of the files.
    private(set) var exactTraces: [String: Double] = [:]
    private(set) var problems: [PartialsProblem] = []

    /// Compares files.
    ///
    /// A file that differs in one respect is not compared in others: they would follow from the first.
    ///
    /// - Parameters:
    ///   - members: The readable files, in any order.
    ///   - isComplete: Whether no file was unreadable; otherwise missing numbers have that cause.
    init(_ members: [PartialsFile], isComplete: Bool) {
        var flaws: [(file: FilePath, flaw: PartialsFlaw)] = []
        for member in members { flaws += member.flaws.map { (member.file.path, $0) } }
        var alike = members.filter(\.flaws.isEmpty)
        for (subject, value) in Self.subjects {
            alike = Self.alike(alike, value) { file, found, expected, other in
                flaws.append((file, .differs(subject: subject, found: found, expected: expected, other: other)))
            }
        }
        alike = Self.alike(alike, SumSignature.init(of:)) { file, found, expected, other in
            flaws.append((file, found.flaw(expected: expected, other: other)))
        }
        flaws += Self.jointFlaws(alike)
        problems = PartialsProblem.grouped(flaws)
        order(alike)
        guard isComplete, problems.isEmpty else { return }
        findMissing()
        count()
    }

    // MARK: - Files against each other

    private static let subjects: [(String, @Sendable (PartialsFile) -> String)] = [
        ("the run", { "\"\($0.metadata.run)\"" }),
        ("the task", { "\"\($0.metadata.task)\"" }),
        ("the base checkpoint's digest", { $0.metadata.baseDigest?.description ?? "not stated" }),
        ("the number of probes", { String($0.metadata.probeCount) }),
        ("the normalization", { "\"\($0.metadata.normalization)\"" }),
    ]

    /// Files without joint rows beside files with them, and joint rows of other positions than the first file's.
    ///
    /// Their ranks may differ: a file of few samples has few rows.
    private static func jointFlaws(_ files: [PartialsFile]) -> [(file: FilePath, flaw: PartialsFlaw)] {
        guard let first = files.first(where: { $0.metadata.jointRows != nil }) else { return [] }
        let expected = first.positionsOfRows
        return files.compactMap { file in
            guard file.metadata.jointRows != nil else {
                return (file.file.path, .withoutJointRows(other: first.file.path))
            }
            let found = file.positionsOfRows
            let missing = expected.keys.filter { found[$0] == nil }.sorted()
            let unknown = found.keys.filter { expected[$0] == nil }.sorted()
            guard missing.isEmpty, unknown.isEmpty else {
                return (
                    file.file.path, .sums(missing: missing, unknown: unknown, other: first.file.path)
                )
            }
            let (own, other) = (file.metadata.jointRows?.buckets, first.metadata.jointRows?.buckets)
            guard own == other else {
                return (
                    file.file.path,
                    .differs(
                        subject: "the pooling of positions", found: PositionBuckets.words(own),
                        expected: PositionBuckets.words(other), other: first.file.path)
                )
            }
            guard let name = found.keys.sorted().first(where: { found[$0] != expected[$0] }) else { return nil }
            let flaw = PartialsFlaw.differs(
                subject: "the number of positions in \"\(name.excerpt)\"", found: "\(found[name] ?? 0)",
                expected: "\(expected[name] ?? 0)", other: first.file.path)
            return (file.file.path, flaw)
        }
    }

    /// The files that have the value of most files; the first such value if two have equally many.
    ///
    /// The others are reported, each with its value, the expected value, and a file that has the expected one.
    private static func alike<Value: Hashable>(
        _ files: [PartialsFile], _ value: (PartialsFile) -> Value,
        report: (_ file: FilePath, _ found: Value, _ expected: Value, _ other: FilePath) -> Void
    ) -> [PartialsFile] {
        let values = files.map(value)
        var firsts: [Value: (first: Int, count: Int)] = [:]
        for (position, value) in values.enumerated() { firsts[value, default: (position, 0)].count += 1 }
        let most = firsts.max { ($0.value.count, -$0.value.first) < ($1.value.count, -$1.value.first) }
        guard let (expected, place) = most, firsts.count > 1 else { return files }
        for (file, found) in zip(files, values) where found != expected {
            report(file.file.path, found, expected, files[place.first].file.path)
        }
        return zip(files, values).filter { $0.1 == expected }.map(\.0)
    }

    // MARK: - Order and counts

    private mutating func order(_ alike: [PartialsFile]) {
        var places: [[Int]: PartialsFile] = [:]
        for member in alike {
            let place = [member.metadata.rank, member.metadata.sequence]
            guard let original = places[place] else {
                places[place] = member
                continue
            }
            repetitions.append(
                PartialsSet.Repetition(
                    file: member.file, original: original.file, rank: place[0], sequence: place[1]))
        }
        files = places.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.value)
    }

    private mutating func findMissing() {
        let sequences = Dictionary(grouping: files, by: \.metadata.rank).mapValues { $0.map(\.metadata.sequence) }
        func report(_ what: (Int) -> String, _ present: [Int], _ file: FilePath) {
            let last = present.last ?? 0
            let count = last + 1 - present.count
            guard count > 0 else { return }
            let known = Set(present)
            // The numbers come from files, so the missing ones may be very many.
            let numbers = Array((0...last).lazy.filter { !known.contains($0) }.prefix(3))
            problems.append(
                PartialsProblem(
                    .missing(what: what(count), numbers: numbers, count: count, last: last), in: [file]))
        }
        guard let first = files.first else { return }
        report({ $0 == 1 ? "the rank" : "the ranks" }, sequences.keys.sorted(), first.file.path)
        for file in files {
            // The files are in order, so each rank is reported at its first one.
            guard let present = sequences[file.metadata.rank], present.first == file.metadata.sequence else { continue }
            report(
                { ($0 == 1 ? "the sequence" : "the sequences") + " of rank \(file.metadata.rank) numbered" }, present,
                file.file.path)
        }
    }

    private mutating func count() {
        guard let first = files.first else { return }
        for (owner, isLayer) in first.owners {
            counts[owner] = PartialsSet.Counts(
                rows: Self.sum(files.lazy.map { isLayer ? $0.metadata.rowCounts?[owner] ?? 0 : 0 }),
                samples: Self.sum(files.lazy.map { $0.metadata.sampleCounts[owner] ?? 0 }))
            if isLayer { exactTraces[owner] = exactTrace(of: owner) }
        }
    }

    /// The sum over the files; `nil` if a file with rows of the layer states none.
    private func exactTrace(of layer: String) -> Double? {
        var sum = 0.0
        for file in files {
            if let part = file.metadata.exactTraces[layer] {
                sum += part
            } else if file.metadata.rowCounts?[layer] != 0 {
                return nil
            }
        }
        return sum.isFinite ? sum : nil
    }

    /// Counts come from metadata.
    ///
    /// A hostile sum saturates, and the check of the samples then fails.
    private static func sum(_ counts: some Sequence<Int>) -> Int {
        counts.reduce(0) { $0.saturatingSum($1) }
    }
}

extension PartialsFile {
    /// The positions of each tensor of joint rows, which do not depend on the ranks; 1 for a parameter.
    fileprivate var positionsOfRows: [String: Int] {
        let rows = jointEntries.filter { [.inputRows, .gradientRows].contains($0.name.content) }
        return Dictionary(rows.map { ($0.name.description, $0.shape.count == 3 ? $0.shape[1] : 1) }) { first, _ in
            first
        }
    }

    /// The layers and parameters, sorted by name.
    fileprivate var owners: [(name: String, isLayer: Bool)] {
        entries.filter { $0.name.side != .gradient }.map { ($0.name.owner, $0.name.side == .input) }
    }
}

/// The sums that a file holds, without their values.
private struct SumSignature: Hashable {
    private struct Entry: Hashable {
        let name: String
        let shape: SymmetricShape
        let elementType: ElementType
    }

    private let entries: [Entry]
    private let hasBias: [String: Bool]
    private let layouts: [String: WeightLayout]

    init(of file: PartialsFile) {
        entries = file.entries.map {
            Entry(name: $0.name.name, shape: $0.shape, elementType: $0.elementType)
        }
        hasBias = file.metadata.hasBias
        layouts = file.metadata.layouts.filter { $0.value != .outIn }
    }

    /// The first respect in which this differs from what was expected.
    func flaw(expected: SumSignature, other: FilePath) -> PartialsFlaw {
        let (names, expectedNames) = (entries.map(\.name), expected.entries.map(\.name))
        if names != expectedNames {
            let (found, wanted) = (Set(names), Set(expectedNames))
            return .sums(
                missing: expectedNames.filter { !found.contains($0) }, unknown: names.filter { !wanted.contains($0) },
                other: other)
        }
        func differs(_ subject: String, _ found: [(String, String, String)]) -> PartialsFlaw? {
            guard let first = found.first else { return nil }
            return .differs(
                subject: "\(subject) of \(found.map(\.0).shortList)", found: first.1, expected: first.2, other: other)
        }
        let pairs = zip(entries, expected.entries)
        let bias = hasBias.keys.sorted().filter { hasBias[$0] != expected.hasBias[$0] }
        let layout = Set(layouts.keys).union(expected.layouts.keys).sorted().filter {
            layouts[$0] != expected.layouts[$0]
        }
        return differs(
            "the dimension",
            pairs.filter { $0.shape.dimension != $1.shape.dimension }.map {
                ($0.name, "\($0.shape.dimension)", "\($1.shape.dimension)")
            })
            ?? differs(
                "the form",
                pairs.filter { $0.shape != $1.shape }.map { ($0.name, Self.form($0.shape), Self.form($1.shape)) })
            ?? differs(
                "the element type",
                pairs.filter { $0.elementType != $1.elementType }.map {
                    ($0.name, $0.elementType.rawValue, $1.elementType.rawValue)
                })
            ?? differs(
                "the bias", bias.map { ($0, "\(hasBias[$0] ?? false)", "\(expected.hasBias[$0] ?? false)") })
            ?? differs("the layout", layout.map { ($0, word($0), expected.word($0)) })
            ?? .sums(missing: [], unknown: [], other: other)
    }

    private static func form(_ shape: SymmetricShape) -> String { shape.isDiagonal ? "diagonal" : "triangle" }

    private func word(_ layer: String) -> String { (layouts[layer] ?? .outIn).rawValue }
}
