/// A regular expression for names that strangers may write: matching never goes back in the name.
///
/// Every instruction runs at most once for each scalar of the name. So the time is at most pattern × name, whatever the
/// pattern is. References and assertions about other places would need a search that goes back. They are not offered.
///
/// Source: Thompson 1968, "Regular Expression Search Algorithm", doi 10.1145/363347.363387. The syntax is the common
/// part of Python's `re`.
public struct RegularPattern: Equatable, Sendable {
    /// A step of the program that a pattern becomes.
    enum Instruction: Equatable, Sendable {
        /// Takes one scalar of a set.
        case take(ScalarSet)
        /// Goes on in two places.
        case split(Int, Int)
        /// Goes on at the begin of the name alone.
        case begin
        /// Goes on at the end of the name alone.
        case end
        /// The pattern has matched.
        case accept
    }

    /// Scalars in ranges, or those outside them.
    struct ScalarSet: Equatable, Sendable {
        var ranges: [ClosedRange<Unicode.Scalar>]
        var isNegated = false

        /// All scalars but the end of a line.
        static let any = ScalarSet(ranges: ["\n"..."\n"], isNegated: true)

        func contains(_ scalar: Unicode.Scalar) -> Bool {
            ranges.contains { $0.contains(scalar) } != isNegated
        }
    }

    /// The steps, of which the last accepts.
    let program: [Instruction]

    /// Whether the pattern matches a path of names between dots, or the end of the path behind one of its dots.
    ///
    /// - Parameters:
    ///   - path: The path.
    ///   - steps: The steps that may still be made; each is subtracted.
    /// - Returns: Whether it matches; `false` without steps left.
    public func matchesEnd(ofPath path: [Unicode.Scalar], steps: inout Int) -> Bool {
        var threads = Threads(program)
        var next = Threads(program)
        for position in 0...path.count {
            let isEnd = position == path.count
            if position == 0 || path[position - 1] == "." {
                threads.add(0, isBegin: position == 0, isEnd: isEnd, &steps)
            }
            guard !isEnd, steps > 0 else { break }
            for place in threads.taking {
                steps -= 1
                guard case .take(let set) = program[place], set.contains(path[position]) else { continue }
                next.add(place + 1, isBegin: false, isEnd: position + 1 == path.count, &steps)
            }
            swap(&threads, &next)
            next.removeAll()
        }
        return steps > 0 && threads.hasAccepted
    }

    /// The places in the program that have been reached at one position of the name, each once.
    private struct Threads {
        private let program: [Instruction]
        private var isKnown: [Bool]
        private var known: [Int] = []
        /// The places that take a scalar.
        private(set) var taking: [Int] = []
        private(set) var hasAccepted = false

        init(_ program: [Instruction]) {
            self.program = program
            isKnown = Array(repeating: false, count: program.count)
        }

        /// Adds a place, and the places where it goes on without a scalar.
        mutating func add(_ place: Int, isBegin: Bool, isEnd: Bool, _ steps: inout Int) {
            var waiting = [place]
            while let place = waiting.popLast() {
                guard !isKnown[place] else { continue }
                isKnown[place] = true
                known.append(place)
                steps -= 1
                switch program[place] {
                case .take: taking.append(place)
                case .split(let first, let other): waiting += [other, first]
                case .begin: if isBegin { waiting.append(place + 1) }
                case .end: if isEnd { waiting.append(place + 1) }
                // What has matched before the end has not matched the name.
                case .accept: hasAccepted = isEnd
                }
            }
        }

        mutating func removeAll() {
            for place in known { isKnown[place] = false }
            known.removeAll(keepingCapacity: true)
            taking.removeAll(keepingCapacity: true)
            hasAccepted = false
        }
    }
}
