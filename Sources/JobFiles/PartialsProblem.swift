import Identifiers
public import SystemPackage

/// One cause why partial sums cannot become factors, and the files that have it.
public struct PartialsProblem: Equatable, Sendable, CustomStringConvertible {
    /// The files, in the order in which they were named.
    public var files: [FilePath]
    /// What is wrong with each of them.
    public var flaw: PartialsFlaw

    /// States a cause.
    public init(_ flaw: PartialsFlaw, in files: [FilePath]) {
        self.files = files
        self.flaw = flaw
    }

    /// The first file, the number of the others, and the sentences of the flaw.
    public var description: String { "\(place): \(flaw)" }

    /// The first file and the number of the others.
    var place: String {
        let first = files.first?.string ?? "partial sums"
        return "\(first)\(files.count > 1 ? " and \(files.count - 1) more" : "")"
    }

    /// One problem for each flaw, with all of its files, in the order of the first files.
    static func grouped(_ flaws: some Sequence<(file: FilePath, flaw: PartialsFlaw)>) -> [PartialsProblem] {
        var places: [PartialsFlaw: Int] = [:]
        var problems: [PartialsProblem] = []
        for (file, flaw) in flaws {
            if let place = places[flaw] {
                problems[place].files.append(file)
            } else {
                places[flaw] = problems.count
                problems.append(PartialsProblem(flaw, in: [file]))
            }
        }
        return problems
    }
}

/// What is wrong with a file of partial sums, in itself or beside the others of its task.
public enum PartialsFlaw: Hashable, Sendable, CustomStringConvertible {
    /// The file holds no sums.
    case empty
    /// An object of the metadata lacks owners of the file's sums, or names others.
    case owners(key: String, missing: [String], unknown: [String])
    /// A layer of the file has rows but no samples.
    case rowsWithoutSamples(layer: String, rows: Int)
    /// The ones of a layer's bias sum to another number of rows than the metadata states.
    case countedRows(layer: String, stated: Int, found: Double)
    /// The file belongs to another run, task, base, … than most.
    case differs(subject: String, found: String, expected: String, other: FilePath)
    /// The file holds other sums than most.
    case sums(missing: [String], unknown: [String], other: FilePath)
    /// The file's joint rows contradict its sums, its counts or its metadata: a clause.
    case jointRows(String)
    /// The file holds no joint rows, but another file of the run does.
    case withoutJointRows(other: FilePath)
    /// Two files of one rank and sequence have different bytes.
    case repeated(rank: Int, sequence: Int, other: FilePath)
    /// Numbers below the last one have no file.
    case missing(what: String, numbers: [Int], count: Int, last: Int)

    /// What is wrong, what was expected, and what to do; the caller puts the files in front.
    public var description: String {
        switch self {
        case .empty: "holds no sums; expected \"<layer>.A\" and \"<layer>.B\", or \"<parameter>.F\". Write it again."
        case .owners(let key, let missing, let unknown):
            "metadata \"\(key)\" \(Self.words(missing, unknown)); expected the file's own layers and parameters. Write it "
                + "again with them."
        case .rowsWithoutSamples(let layer, let rows):
            "layer \"\(layer.excerpt)\" has \(rows) rows of 0 samples; expected at least one sample. Write it again with the right "
                + "counts."
        case .countedRows(let layer, let stated, let found):
            "layer \"\(layer.excerpt)\" has \(stated) rows in the metadata, but the ones of its bias sum to \(found), the last "
                + "element of \"\(layer.excerpt).A\"; expected the same number. Write it again with the right counts."
        case .differs(let subject, let found, let expected, let other):
            "\(subject) is \(found.excerpt); expected \(expected.excerpt) as in \(other). Name the files of one run only."
        case .sums(let missing, let unknown, let other):
            "\(Self.words(missing, unknown)); expected the sums of \(other). All ranks must sum the same layers: repeat the "
                + "run."
        case .jointRows(let words): "\(words). Make the sums and the joint rows again from the same samples."
        case .withoutJointRows(let other):
            "holds no joint rows, but \(other) does; expected them in all files of a run, or in none. Repeat the run with "
                + "joint rows in every process."
        case .repeated(let rank, let sequence, let other):
            "is sequence \(sequence) of rank \(rank), as \(other) is, but has other bytes; expected one file of that "
                + "sequence. Remove the wrong one."
        case .missing(let what, let numbers, let count, let last):
            "\(what) \(Self.listed(numbers, of: count)) \(count == 1 ? "is" : "are") missing; expected all from 0 to "
                + "\(last). Name or push their files too, or repeat the run."
        }
    }

    /// The thing that is wrong, if it is not the whole file, and the word for several of them.
    var subject: (name: String?, things: String) {
        switch self {
        case .rowsWithoutSamples(let layer, _), .countedRows(let layer, _, _): (layer, "layers")
        default: (nil, "files")
        }
    }

    private static func listed(_ numbers: [Int], of count: Int) -> String {
        let shown = numbers.map(String.init).joined(separator: ", ")
        return count > numbers.count ? "\(shown) and \(count - numbers.count) more" : shown
    }

    private static func words(_ missing: [String], _ unknown: [String]) -> String {
        [
            missing.isEmpty ? nil : "lacks \(missing.shortList)",
            unknown.isEmpty ? nil : "has \(unknown.shortList), which \(unknown.count == 1 ? "is" : "are") not expected",
        ].compactMap(\.self).joined(separator: " and ")
    }
}

extension [String] {
    /// The first names in quotes, and the number of the others.
    var shortList: String {
        let shown = prefix(3).map { "\"\($0.excerpt)\"" }.joined(separator: ", ")
        return count > 3 ? "\(shown) and \(count - 3) more" : shown
    }
}
