import JSONText

extension RegularizerMetadata {
    /// The coefficients of the Kronecker products of the form `optimal`: with the factors they give the products again.
    ///
    /// Source: DESIGN section 2.2 and 3.
    public struct Optimum: Equatable, Sendable {
        /// Kronecker products of each layer.
        public var rank: Int
        /// The products of each layer, the largest first.
        public var terms: [String: [Term]]
        /// ‖Σ λ_t B_t⊗A_t − Σ_k B_k⊗A_k‖_F / ‖Σ λ_t B_t⊗A_t‖_F of each layer, for B without the scale.
        public var relativeErrors: [String: Double]

        /// Describes the products.
        public init(rank: Int, terms: [String: [Term]] = [:], relativeErrors: [String: Double] = [:]) {
            self.rank = rank
            self.terms = terms
            self.relativeErrors = relativeErrors
        }
    }

    /// The coefficients of one Kronecker product by task, as the file holds them.
    public struct Term: Equatable, Sendable {
        /// y_t of B = Σ y_t B_t, with the scale.
        public var gradient: [String: Double]
        /// x_t of A = Σ x_t A_t.
        public var input: [String: Double]

        /// Names the coefficients.
        public init(gradient: [String: Double], input: [String: Double]) {
            self.gradient = gradient
            self.input = input
        }
    }
}

extension RegularizerMetadata.Optimum {
    /// Reads a file's values; nil if the file states no rank.
    init?(_ reader: MetadataReader) throws(JobFileError) {
        guard let rank = try reader.positiveInteger(MetadataKey.rank) else { return nil }
        self.init(
            rank: rank,
            terms: try reader.object(
                MetadataKey.coefficients, "an object of lists of coefficients by layer", Self.terms) ?? [:],
            relativeErrors: try reader.object(
                MetadataKey.relativeError, "an object of numbers by layer", \.finiteNumber) ?? [:])
    }

    var strings: [String: String] {
        [
            MetadataKey.rank: String(rank),
            MetadataKey.coefficients: JSONValue.sortedObject(terms) { .array($0.map(Self.json)) }.text(),
            MetadataKey.relativeError: JSONValue.sortedObject(relativeErrors) { .number(String($0)) }.text(),
        ]
    }

    private static func json(_ term: RegularizerMetadata.Term) -> JSONValue {
        .object([
            .init("B", .sortedObject(term.gradient) { .number(String($0)) }),
            .init("A", .sortedObject(term.input) { .number(String($0)) }),
        ])
    }

    private static func terms(_ value: JSONValue) -> [RegularizerMetadata.Term]? {
        guard case .array(let elements) = value else { return nil }
        let terms = elements.compactMap { element -> RegularizerMetadata.Term? in
            guard let gradient = coefficients(element, "B"), let input = coefficients(element, "A") else { return nil }
            return RegularizerMetadata.Term(gradient: gradient, input: input)
        }
        return terms.count == elements.count ? terms : nil
    }

    private static func coefficients(_ term: JSONValue, _ side: String) -> [String: Double]? {
        guard let members = term.members?.first(where: { $0.key == side })?.value.members else { return nil }
        var coefficients: [String: Double] = [:]
        for member in members {
            guard let number = member.value.finiteNumber else { return nil }
            coefficients[member.key] = number
        }
        return coefficients
    }
}
