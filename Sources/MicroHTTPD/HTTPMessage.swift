/// A request, without its header and body.
public struct HTTPRequest: Equatable, Sendable {
    /// The method, as it was sent.
    public let method: String
    /// The path, without the query.
    public let path: String
}

/// A response with its whole body.
public struct HTTPResponse: Equatable, Sendable {
    /// The status code.
    public var status: Int
    /// Names and values of header fields.
    ///
    /// The library adds the date and the length of the body.
    public var headers: [String: String]
    /// The body; a HEAD request gets only its length.
    public var body: String

    /// Collects the parts of a response.
    public init(status: Int, headers: [String: String], body: String) {
        self.status = status
        self.headers = headers
        self.body = body
    }
}
