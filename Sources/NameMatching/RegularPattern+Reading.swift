extension RegularPattern {
    /// Why a text is no pattern; the description continues a sentence.
    public struct SyntaxProblem: Error, Equatable, Sendable, CustomStringConvertible {
        /// What is wrong.
        public let description: String
    }

    /// The most steps of a pattern's program; repetitions with numbers count as often as they may occur.
    static let sizeMax = 16_384

    /// Reads a pattern.
    ///
    /// - Parameter text: Characters; `.`; classes `[a-z]`, `[^a-z]`, `\d`, `\w`, `\s` and their opposites; groups
    ///   `(…)` and `(?:…)`; alternatives `a|b`; the repetitions `*`, `+`, `?`, `{m}`, `{m,}` and `{m,n}`, also with `?`
    ///   behind them; `^` and `$`. A backslash before another character that is no letter or digit stands for the
    ///   character.
    /// - Throws: ``SyntaxProblem`` for anything else, and for a pattern with more than 16 384 steps.
    public init(_ text: String) throws(SyntaxProblem) {
        var reader = PatternReader(text)
        let pattern = try reader.whole()
        guard pattern.size < Self.sizeMax else {
            throw SyntaxProblem(description: "its repetitions make it longer than \(Self.sizeMax) steps")
        }
        var program: [Instruction] = []
        pattern.append(to: &program)
        self.program = program + [.accept]
    }
}

/// A pattern as a tree.
private indirect enum PatternTree {
    case take(RegularPattern.ScalarSet)
    case begin
    case end
    case sequence([PatternTree])
    case choice([PatternTree])
    /// Without a maximum the last repetition repeats itself.
    case repeated(PatternTree, least: Int, most: Int?)

    /// The number of instructions; at most a little more than twice the largest allowed one.
    var size: Int {
        let size: Int
        switch self {
        case .take, .begin, .end: size = 1
        case .sequence(let parts): size = parts.reduce(0) { $0 + $1.size }
        case .choice(let parts): size = parts.reduce(0) { $0 + $1.size + 2 }
        case .repeated(let part, let least, let most):
            // The numbers and the parts are bounded, so the product fits.
            size = (part.size + 2) * max(least + (most == nil ? 1 : 0), most ?? 0)
        }
        return min(size, RegularPattern.sizeMax)
    }

    func append(to program: inout [RegularPattern.Instruction]) {
        switch self {
        case .take(let set): program.append(.take(set))
        case .begin: program.append(.begin)
        case .end: program.append(.end)
        case .sequence(let parts): for part in parts { part.append(to: &program) }
        case .choice(let parts):
            // Each alternative ends with a step to the end of them all.
            var ends: [Int] = []
            for part in parts.dropLast() {
                let fork = program.count
                program.append(.split(fork + 1, 0))
                part.append(to: &program)
                ends.append(program.count)
                program.append(.split(0, 0))
                program[fork] = .split(fork + 1, program.count)
            }
            parts.last?.append(to: &program)
            for end in ends { program[end] = .split(program.count, program.count) }
        case .repeated(let part, let least, let most):
            for _ in 0..<least { part.append(to: &program) }
            let options = (0..<(most.map { $0 - least } ?? 1)).map { _ in
                let fork = program.count
                program.append(.split(fork + 1, 0))
                part.append(to: &program)
                return fork
            }
            if most == nil { program.append(.split(options[0], options[0])) }
            for fork in options { program[fork] = .split(fork + 1, program.count) }
        }
    }
}

/// Reads the text of a pattern from left to right.
private struct PatternReader {
    /// The deepest nesting of groups, so that a hostile text cannot exhaust the stack.
    private static let depthMax = 32
    /// The largest number of a repetition; more steps than that are refused anyway.
    private static let repetitionsMax = RegularPattern.sizeMax

    private var rest: ArraySlice<Unicode.Scalar>
    private var depth = 0

    init(_ text: String) {
        rest = Array(text.unicodeScalars)[...]
    }

    private func problem(_ description: String) -> RegularPattern.SyntaxProblem {
        RegularPattern.SyntaxProblem(description: description)
    }

    mutating func whole() throws(RegularPattern.SyntaxProblem) -> PatternTree {
        let pattern = try choice()
        guard rest.isEmpty else { throw problem("a \")\" has no \"(\"") }
        return pattern
    }

    private mutating func choice() throws(RegularPattern.SyntaxProblem) -> PatternTree {
        var alternatives = [try sequence()]
        while rest.first == "|" {
            rest.removeFirst()
            alternatives.append(try sequence())
        }
        return alternatives.count == 1 ? alternatives[0] : .choice(alternatives)
    }

    private mutating func sequence() throws(RegularPattern.SyntaxProblem) -> PatternTree {
        var parts: [PatternTree] = []
        while let next = rest.first, next != "|", next != ")" { parts.append(try repeated(try atom())) }
        return .sequence(parts)
    }

    private mutating func repeated(_ part: PatternTree) throws(RegularPattern.SyntaxProblem) -> PatternTree {
        guard let (least, most) = try repetition() else { return part }
        // The shortest and the longest repetition match the same whole names.
        if rest.first == "?" { rest.removeFirst() }
        let after = rest
        guard rest.first != "+", try repetition() == nil else {
            throw problem("a repetition is repeated at \"\(String(String.UnicodeScalarView(after.prefix(4))))\"")
        }
        return .repeated(part, least: least, most: most)
    }

    /// The numbers of a repetition, if one comes next.
    private mutating func repetition() throws(RegularPattern.SyntaxProblem) -> (least: Int, most: Int?)? {
        switch rest.first {
        case "*": rest.removeFirst(); return (0, nil)
        case "+": rest.removeFirst(); return (1, nil)
        case "?": rest.removeFirst(); return (0, 1)
        case "{": break
        default: return nil
        }
        // Other braces stand for themselves.
        guard let close = rest.firstIndex(of: "}") else { return nil }
        let words = rest[(rest.startIndex + 1)..<close].split(separator: ",", omittingEmptySubsequences: false)
        guard words.count <= 2, words.contains(where: { !$0.isEmpty }),
            words.allSatisfy({ $0.allSatisfy { ("0"..."9").contains($0) } })
        else { return nil }
        rest = rest[(close + 1)...]
        let numbers = words.map { $0.isEmpty ? nil : Int(String(String.UnicodeScalarView($0))) ?? .max }
        let least = numbers[0] ?? 0
        let most = words.count == 1 ? least : numbers[1]
        guard max(least, most ?? 0) < Self.repetitionsMax else {
            throw problem("it repeats something \(Self.repetitionsMax) times or more")
        }
        guard least <= most ?? least else { throw problem("a repetition's numbers are in the wrong order") }
        return (least, most)
    }

    private mutating func atom() throws(RegularPattern.SyntaxProblem) -> PatternTree {
        guard let next = rest.popFirst() else { return .sequence([]) }
        switch next {
        case ".": return .take(.any)
        case "^": return .begin
        case "$": return .end
        case "(": return try group()
        case "[": return .take(try scalarClass())
        case "\\": return .take(try escaped())
        case "*", "+", "?": throw problem("\"\(next)\" repeats nothing")
        default: return .take(.init(ranges: [next...next]))
        }
    }

    private mutating func group() throws(RegularPattern.SyntaxProblem) -> PatternTree {
        if rest.first == "?" {
            guard rest.dropFirst().first == ":" else {
                throw problem("\"(?\(rest.dropFirst().first.map(String.init) ?? "")\" is not offered")
            }
            rest.removeFirst(2)
        }
        guard depth < Self.depthMax else { throw problem("its groups are nested more than \(Self.depthMax) deep") }
        depth += 1
        let pattern = try choice()
        depth -= 1
        guard rest.popFirst() == ")" else { throw problem("a \"(\" has no \")\"") }
        return pattern
    }

    private mutating func escaped() throws(RegularPattern.SyntaxProblem) -> RegularPattern.ScalarSet {
        guard let next = rest.popFirst() else { throw problem("it ends with \"\\\"") }
        switch next {
        case "d", "D": return .init(ranges: ["0"..."9"], isNegated: next == "D")
        case "w", "W": return .init(ranges: ["0"..."9", "A"..."Z", "_"..."_", "a"..."z"], isNegated: next == "W")
        case "s", "S": return .init(ranges: ["\t"..."\r", " "..." "], isNegated: next == "S")
        default:
            guard !next.properties.isAlphabetic, next.properties.numericType == nil else {
                throw problem("\"\\\(next)\" is not offered")
            }
            return .init(ranges: [next...next])
        }
    }

    /// What stands between brackets.
    private mutating func scalarClass() throws(RegularPattern.SyntaxProblem) -> RegularPattern.ScalarSet {
        var set = RegularPattern.ScalarSet(ranges: [])
        if rest.first == "^" {
            set.isNegated = true
            rest.removeFirst()
        }
        var isFirst = true
        while let next = rest.popFirst() {
            // A bracket that comes first stands for itself.
            if next == "]", !isFirst { return set }
            isFirst = false
            let ranges = try classMember(next)
            guard rest.first == "-", let last = rest.dropFirst().first, last != "]", ranges.count == 1,
                let first = ranges.first?.lowerBound, first == ranges[0].upperBound
            else {
                set.ranges += ranges
                continue
            }
            rest.removeFirst(2)
            let end = try classMember(last)
            guard end.count == 1, end[0].lowerBound == end[0].upperBound, first <= end[0].lowerBound else {
                throw problem("a range of a class has no order")
            }
            set.ranges.append(first...end[0].lowerBound)
        }
        throw problem("a \"[\" has no \"]\"")
    }

    private mutating func classMember(
        _ scalar: Unicode.Scalar
    ) throws(RegularPattern.SyntaxProblem) -> [ClosedRange<Unicode.Scalar>] {
        guard scalar == "\\" else { return [scalar...scalar] }
        let set = try escaped()
        guard !set.isNegated else { throw problem("an opposite within a class is not offered") }
        return set.ranges
    }
}
