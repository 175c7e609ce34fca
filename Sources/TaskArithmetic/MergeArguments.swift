/// A parameter's value.
public enum MergeValue: Equatable, Sendable, CustomStringConvertible {
    /// A number.
    case number(Double)
    /// True or false.
    case truth(Bool)
    /// A whole number.
    case count(Int)
    /// A word.
    case word(String)

    /// The value as a job file writes it.
    public var description: String {
        switch self {
        case .number(let value): Int(exactly: value).map { "\($0)" } ?? "\(value)"
        case .truth(let value): "\(value)"
        case .count(let value): "\(value)"
        case .word(let value): value
        }
    }
}

/// The values of a method's own parameters for one tensor, by name.
///
/// A method's computation reads them by the constants of its file; what nobody gave has its default.
public struct MergeArguments: Equatable, Sendable {
    /// The values that were given.
    public private(set) var values: [String: MergeValue]

    /// Values by name; none for a method without parameters of its own.
    public init(_ values: [String: MergeValue] = [:]) {
        self.values = values
    }

    /// The value of a parameter, or its default.
    public subscript(parameter: MergeParameter) -> MergeValue? {
        get {
            if let value = values[parameter.name] { return value }
            guard case .value(let value) = parameter.defaultValue else { return nil }
            return value
        }
        set { values[parameter.name] = newValue }
    }

    /// A number.
    ///
    /// - Throws: ``TaskArithmeticError/parameterMissing(name:expected:)`` when there is none.
    public func number(_ parameter: MergeParameter) throws(TaskArithmeticError) -> Double {
        guard case .number(let value) = self[parameter] else { throw missing(parameter) }
        return value
    }

    /// A truth.
    ///
    /// - Throws: ``TaskArithmeticError/parameterMissing(name:expected:)`` when there is none.
    public func truth(_ parameter: MergeParameter) throws(TaskArithmeticError) -> Bool {
        guard case .truth(let value) = self[parameter] else { throw missing(parameter) }
        return value
    }

    /// A whole number.
    ///
    /// - Throws: ``TaskArithmeticError/parameterMissing(name:expected:)`` when there is none.
    public func count(_ parameter: MergeParameter) throws(TaskArithmeticError) -> Int {
        guard case .count(let value) = self[parameter] else { throw missing(parameter) }
        return value
    }

    /// A word.
    ///
    /// - Throws: ``TaskArithmeticError/parameterMissing(name:expected:)`` when there is none.
    public func word(_ parameter: MergeParameter) throws(TaskArithmeticError) -> String {
        guard case .word(let value) = self[parameter] else { throw missing(parameter) }
        return value
    }

    private func missing(_ parameter: MergeParameter) -> TaskArithmeticError {
        .parameterMissing(name: parameter.name, expected: parameter.expectation)
    }
}
